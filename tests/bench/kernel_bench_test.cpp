// The program that `make bench` drives: what it reads, what it answers, and that what it times is right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench_commands.h"
#include "bench_limits.h"
#include "model_io.h"

namespace driftseal::kernels::bench {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

struct Tensor {
  std::string type;
  std::vector<size_t> shape;
  std::string bytes;
};

template <class T>
Tensor Of(const std::string& type, std::vector<size_t> shape, std::vector<T> values) {
  return {type, std::move(shape), std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

class KernelBench : public testing::Test {
 protected:
  KernelBench() { std::filesystem::create_directories(folder_); }
  ~KernelBench() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::string Write(const std::string& name, const std::map<std::string, Tensor>& tensors) const {
    Json header = Json::object();
    std::string data;
    for (const auto& [key, tensor] : tensors) {
      const size_t end = data.size() + tensor.bytes.size();
      header[key] = {{"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {data.size(), end}}};
      data += tensor.bytes;
    }
    const std::string text = header.dump();
    std::ofstream out(Path(name), std::ios::binary);
    for (int i = 0; i < 8; ++i) out.put(static_cast<char>(text.size() >> (8 * i) & 255));
    out << text << data;
    return Path(name);
  }

  // An SVM of two vectors, a forest of one tree with one split, and three rows.
  std::string WriteModel() const {
    return Write("model", {{"svm.vectors", Of<double>("F64", {2, 2}, {0, 0, 3, 4})},
                           {"svm.alpha", Of<double>("F64", {2}, {0.5, 0.25})},
                           {"svm.gamma", Of<double>("F64", {1}, {0.1})},
                           {"svm.rho", Of<double>("F64", {1}, {0.6})},
                           {"forest.feature", Of<int32_t>("I32", {3}, {1, -1, -1})},
                           {"forest.threshold", Of<float>("F32", {3}, {0.5F, 0, 0})},
                           {"forest.left", Of<int32_t>("I32", {3}, {1, -1, -1})},
                           {"forest.right", Of<int32_t>("I32", {3}, {2, -1, -1})},
                           {"forest.path", Of<float>("F32", {3}, {0, 1, 3})},
                           {"forest.roots", Of<int32_t>("I32", {1}, {0})},
                           {"forest.sample_size", Of<double>("F64", {1}, {256})}});
  }
  std::string WriteRows() const { return Write("rows", {{"rows", Of<float>("F32", {3, 2}, {0, 0, 3, 4, 1, 1})}}); }

  Json Load() { return commands_.Answer({{"op", "load"}, {"model", WriteModel()}, {"rows", WriteRows()}}); }

  template <class T>
  std::vector<T> Read(const std::string& name) const {
    std::vector<T> values(std::filesystem::file_size(Path(name)) / sizeof(T));
    std::ifstream(Path(name), std::ios::binary)
        .read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    return values;
  }

  std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
  Commands commands_;
};

TEST_F(KernelBench, ScoresAreTheFormulas) {
  const Json loaded = Load();
  ASSERT_EQ(loaded.value("rows", 0), 3) << loaded;
  EXPECT_EQ(loaded["work"]["svm"]["fma"], 2 * (2 + 7));
  const double expected[] = {0.6 - (0.5 + 0.25 * std::exp(-2.5)), 0.6 - (0.5 * std::exp(-2.5) + 0.25),
                             0.6 - (0.5 * std::exp(-0.2) + 0.25 * std::exp(-1.3))};
  for (const device::Isa& isa : device::SupportedIsas()) {
    for (size_t batch : {1, 2, 3}) {
      const Json answer = commands_.Answer({{"op", "score"},
                                            {"kernel", "svm"},
                                            {"isa", isa.name},
                                            {"threads", 1},
                                            {"batch", batch},
                                            {"output", Path("out")}});
      ASSERT_EQ(answer.value("target", int64_t{0}), isa.target) << answer;
      const auto scores = Read<float>("out");
      ASSERT_EQ(scores.size(), 3U);
      for (size_t r = 0; r < 3; ++r) EXPECT_NEAR(scores[r], expected[r], 7.5e-6) << isa.name << " row " << r;
    }
  }
  commands_.Answer({{"op", "reference"}, {"kernel", "svm"}, {"count", 2}, {"output", Path("out")}});
  const auto reference = Read<double>("out");
  ASSERT_EQ(reference.size(), 2U);
  EXPECT_DOUBLE_EQ(reference[1], expected[1]);
}

TEST_F(KernelBench, TheEnsembleScoresMemberAfterMember) {
  Load();
  const std::string isa(device::SupportedIsas()[0].name);
  for (size_t threads : {1, 2}) {
    const Json answer = commands_.Answer({{"op", "score"},
                                          {"kernel", "ensemble"},
                                          {"isa", isa},
                                          {"threads", threads},
                                          {"batch", 2},
                                          {"output", Path("out")}});
    ASSERT_EQ(answer.value("outputs", 0), 2) << answer;
    const auto scores = Read<float>("out");
    ASSERT_EQ(scores.size(), 6U);
    const double norm = forest::MeanPath(256);
    EXPECT_NEAR(scores[0], std::exp2(-1 / norm), 1e-6) << "the forest is the first of the two";
    EXPECT_NEAR(scores[1], std::exp2(-3 / norm), 1e-6);
    EXPECT_NEAR(scores[2], std::exp2(-3 / norm), 1e-6);
    EXPECT_NEAR(scores[3], 0.6 - (0.5 + 0.25 * std::exp(-2.5)), 7.5e-6);
  }
}

TEST_F(KernelBench, TimesWhatItWasAskedFor) {
  Load();
  const Json request = {
      {"op", "time"}, {"kernel", "forest"}, {"isa", device::SupportedIsas()[0].name}, {"threads", 1}, {"passes", 50}};
  const Json answer = commands_.Answer(request);
  EXPECT_EQ(answer.value("rows", 0), 150) << answer;
  EXPECT_GT(answer.value("seconds", 0.0), 0);
  EXPECT_GT(answer.value("cpu_seconds", 0.0), 0);
  Json more = request;
  more["count"] = 300;  // a hundred times the rows there are
  EXPECT_EQ(commands_.Answer(more).value("rows", 0), 15000);
}

TEST_F(KernelBench, LatencyQuantilesAreInOrder) {
  Load();
  const Json answer = commands_.Answer({{"op", "latency"},
                                        {"kernel", "ensemble"},
                                        {"isa", device::SupportedIsas()[0].name},
                                        {"threads", 1},
                                        {"calls", 1000}});
  EXPECT_EQ(answer.value("distinct_rows", 0), 3) << answer;
  EXPECT_GT(answer["p50"].get<double>(), 0);
  EXPECT_LE(answer["p50"], answer["p99"]);
  EXPECT_LE(answer["p99"], answer["p999"]);
  EXPECT_LE(answer["p999"], answer["max"]);
}

TEST_F(KernelBench, SaysWhatIsWrong) {
  const std::string isa(device::SupportedIsas()[0].name);
  Load();
  const auto error = [&](const Json& request) { return commands_.Answer(request).value("error", ""); };
  EXPECT_THAT(error({{"op", "fly"}}), HasSubstr("no op fly"));
  EXPECT_THAT(error({{"op", "time"}, {"kernel", "svm"}, {"isa", "avx9"}, {"threads", 1}}), HasSubstr("avx9"));
  EXPECT_THAT(error({{"op", "time"}, {"kernel", "mahalanobis"}, {"isa", isa}, {"threads", 1}}),
              HasSubstr("no member for kernel mahalanobis"));
  EXPECT_THAT(error({{"op", "time"}, {"kernel", "svm"}, {"isa", isa}, {"threads", 1}, {"batch", 0}}),
              HasSubstr("at least one row"));
  EXPECT_THAT(error({{"op", "load"}, {"model", Path("none")}, {"rows", Path("none")}}), HasSubstr("cannot be read"));
  EXPECT_THAT(error({{"op", "limit"}, {"isa", isa}, {"threads", 1}, {"name", "speed"}, {"seconds", 0.01}}),
              HasSubstr("no limit speed"));
}

TEST_F(KernelBench, RefusesFilesThatAreCut) {
  const std::string path = WriteRows();
  const auto size = std::filesystem::file_size(path);
  for (size_t keep : {size_t{0}, size_t{7}, size_t{20}, static_cast<size_t>(size) - 1}) {
    std::filesystem::resize_file(path, keep);
    EXPECT_ANY_THROW(ReadRows(path)) << keep << " of " << size << " bytes";
    WriteRows();
  }
  EXPECT_ANY_THROW(ReadRows(Write("half", {{"rows", Of<int16_t>("F16", {1, 1}, {0})}})));
  EXPECT_EQ(ReadRows(WriteRows()).count(), 3U);
}

TEST(KernelBenchLimits, AreOfTheInstructionSetForced) {
  for (const device::Isa& isa : device::SupportedIsas()) {
    for (const Limit& limit : LimitsFor(isa)) {
      if (limit.name == "copy") continue;  // 256 MB of memory a thread
      const Rate rate = MeasureLimit(limit, 1, 0.002);
      EXPECT_EQ(rate.target, isa.target) << limit.name;
      EXPECT_GT(rate.per_second, 0) << limit.name << " " << isa.name;
      EXPECT_LT(rate.per_second, 1e15) << limit.name << " " << isa.name << ": the work was optimised away";
    }
  }
}

}  // namespace
}  // namespace driftseal::kernels::bench
