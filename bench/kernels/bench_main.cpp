// driftseal-kernel-bench: one JSON request a line on stdin, one answer a line on stdout (bench_commands.h). run.py
// drives it.
#include <iostream>
#include <string>

#include "bench_commands.h"

int main() {
  driftseal::kernels::bench::Commands commands;
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::json::parse(line, nullptr, false);
    const auto answer = request.is_object() ? commands.Answer(request)
                                            : nlohmann::json{{"error", "a request is a JSON object on one line"}};
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}
