// driftseal-serve-bench: load for a running engine, the empty service beside it, and the fixtures of both. Prints one
// line of JSON. Exit codes: 0 done, 2 usage, 3 the measurement failed.
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>

#include "CLI/CLI.hpp"
#include "bench/serve/echo.h"
#include "bench/serve/fixture.h"
#include "bench/serve/http_load.h"
#include "bench/serve/in_process.h"
#include "bench/serve/reload_load.h"
#include "bench/serve/score_stream_load.h"
#include "bench/serve/unary_load.h"
#include "bench/serve/verify_load.h"

namespace {

using namespace driftseal;
using Outcome = absl::StatusOr<nlohmann::json>;

Outcome Json(const absl::Status& status) {
  if (!status.ok()) return status;
  return nlohmann::json{{"ok", true}};
}

void AddTarget(CLI::App* command, bench::Target* target) {
  command->add_option("--address", target->address)->required();
  command->add_option("--connections", target->connections);
  command->add_option("--server-pid", target->process);
}

void AddShape(CLI::App* command, bench::RequestShape* shape) {
  static const std::map<std::string, v1::Detail> details = {
      {"scores", v1::DETAIL_SCORES}, {"members", v1::DETAIL_MEMBERS}, {"drivers", v1::DETAIL_DRIVERS}};
  command->add_option("--rows", shape->rows);
  command->add_option("--detector", shape->detector);
  command->add_option("--detail", shape->detail)->transform(CLI::CheckedTransformer(details));
}

void AddUnary(CLI::App* command, bench::UnaryLoad* load) {
  AddTarget(command, &load->target);
  AddShape(command, &load->shape);
  command->add_option("--seconds", load->seconds);
  command->add_option("--warm-up", load->warm_up_seconds);
  command->add_option("--in-flight", load->in_flight, "closed loop");
  command->add_option("--rate", load->rate, "open loop: requests a second");
  command->add_option("--most-in-flight", load->most_in_flight, "open loop");
  command->add_option("--pollers", load->pollers);
  command->add_option("--seed", load->seed);
}

struct Options {
  std::string port_file, directory, replay;
  int version = 1;
  bench::UnaryLoad unary;
  bench::ReloadLoad reload;
  bench::ScoreStreamLoad stream;
  bench::VerifyLoad verify;
  bench::InProcess in_process;
  bench::HttpLoad http;
};

std::function<Outcome()> Parse(CLI::App* app, Options* o) {
  static std::function<Outcome()> chosen;
  const auto command = [app](const char* name, const char* text, std::function<Outcome()> run) {
    CLI::App* added = app->add_subcommand(name, text);
    added->callback([run = std::move(run)] { chosen = run; });
    return added;
  };
  CLI::App* echo =
      command("echo", "serve the empty service until SIGTERM", [o] { return Json(bench::ServeEcho(o->port_file)); });
  echo->add_option("--port-file", o->port_file)->required();
  CLI::App* fit =
      command("fit", "fit a detector", [o] { return Json(bench::FitDetector(o->directory, o->version, o->replay)); });
  fit->add_option("--output", o->directory)->required();
  fit->add_option("--detector-version", o->version);
  fit->add_option("--replay", o->replay)->required();
  AddUnary(command("unary", "load Score", [o] { return bench::RunUnary(o->unary); }), &o->unary);
  CLI::App* reload =
      command("reload", "load Score while versions take turns", [o] { return bench::RunReload(o->reload); });
  AddUnary(reload, &o->reload.unary);
  reload->add_option("--activate", o->reload.detectors)->required();
  reload->add_option("--load", o->reload.load_folder);
  reload->add_option("--times", o->reload.times);
  reload->add_option("--pause", o->reload.pause_seconds);
  CLI::App* stream = command("stream", "load ScoreStream", [o] { return bench::RunScoreStream(o->stream); });
  AddTarget(stream, &o->stream.target);
  AddShape(stream, &o->stream.shape);
  stream->add_option("--seconds", o->stream.seconds);
  stream->add_option("--window", o->stream.window);
  CLI::App* verify = command("verify", "VerifyStream of a folder", [o] { return bench::RunVerify(o->verify); });
  AddTarget(verify, &o->verify.target);
  verify->add_option("--folder", o->verify.folder);
  verify->add_option("--run", o->verify.run);
  verify->add_option("--window", o->verify.window);
  verify->add_option("--output", o->verify.output_path);
  CLI::App* inside =
      command("in-process", "score without a server", [o] { return bench::RunInProcess(o->in_process); });
  inside->add_option("--model-dir", o->in_process.detector)->required();
  inside->add_option("--rows", o->in_process.rows);
  inside->add_option("--seconds", o->in_process.seconds);
  CLI::App* check = command("check", "compare served scores with those in process",
                            [o] { return Json(bench::CheckScores(o->unary.target, o->directory)); });
  AddTarget(check, &o->unary.target);
  check->add_option("--model-dir", o->directory)->required();
  CLI::App* http = command("http", "POST /v1/score", [o] { return bench::RunHttp(o->http); });
  http->add_option("--port", o->http.port)->required();
  http->add_option("--server-pid", o->http.process);
  http->add_option("--connections", o->http.connections);
  http->add_option("--rows", o->http.rows);
  http->add_option("--seconds", o->http.seconds);
  app->require_subcommand(1);
  return [] { return chosen(); };
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Load for the engine");
  Options options;
  const std::function<Outcome()> run = Parse(&app, &options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Outcome outcome = run();
  if (!outcome.ok()) {
    std::fprintf(stderr, "driftseal-serve-bench: %s\n", std::string(outcome.status().message()).c_str());
    return 3;
  }
  std::printf("%s\n", outcome->dump().c_str());
  return 0;
}
