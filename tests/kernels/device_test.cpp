#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>

#include "kernels/device/crossover.h"
#include "kernels/device/cuda_module.h"
#include "kernels/ensemble/cuda_view.h"

namespace driftseal::kernels::device {
namespace {

TEST(Crossover, LiesWhereTheLinesCross) {
  // CPU: 1 µs a row; GPU: 100 µs and 0.1 µs a row: equal at 111.1 rows.
  std::vector<CrossoverPoint> points;
  for (size_t rows : {1, 4, 16, 64, 256, 1024}) {
    const auto n = static_cast<double>(rows);
    points.push_back({rows, n * 1e-6, 1e-4 + n * 1e-7});
  }
  EXPECT_EQ(CrossoverOf(points), 112U);
}

TEST(Crossover, IgnoresALuckySmallBatch) {
  // Ahead at 4 rows, behind again at 16: what counts is where the GPU stays ahead.
  const std::vector<CrossoverPoint> points = {{1, 1, 2}, {4, 3, 2}, {16, 4, 5}, {64, 16, 6}};
  const size_t rows = CrossoverOf(points);
  EXPECT_GT(rows, 16U);
  EXPECT_LE(rows, 64U);
}

TEST(Crossover, AlwaysAndNever) {
  EXPECT_EQ(CrossoverOf({{1, 2, 1}, {4, 3, 1}}), 1U);
  EXPECT_EQ(CrossoverOf({{1, 1, 2}, {4, 1, 2}}), SIZE_MAX);
  EXPECT_EQ(CrossoverOf({}), SIZE_MAX);
}

void Wait(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

TEST(Crossover, IsFoundByTheClock) {
  size_t cpu_calls = 0, gpu_calls = 0;
  const auto cpu = [&](size_t rows) {
    ++cpu_calls;
    Wait(static_cast<double>(rows) * 200e-6);
    return true;
  };
  const auto gpu = [&](size_t) {
    ++gpu_calls;
    Wait(5e-3);
    return true;
  };
  const Crossover crossover = MeasureCrossover(cpu, gpu, {.most_rows = 256, .repetitions = 3});
  EXPECT_GT(cpu_calls, 3U);
  EXPECT_GT(gpu_calls, 3U);
  // 25 rows, if sleeping were exact; a loaded machine oversleeps.
  EXPECT_GT(crossover.rows, 4U);
  EXPECT_LE(crossover.rows, 256U);
  ASSERT_GE(crossover.points.size(), 4U);
  EXPECT_EQ(crossover.points[2].rows, 16U);
}

TEST(Crossover, KeepsItsBudget) {
  const auto slow = [](size_t rows) {
    Wait(5e-3 * static_cast<double>(rows));
    return true;
  };
  const auto start = std::chrono::steady_clock::now();
  const Crossover crossover = MeasureCrossover(slow, slow, {.budget_seconds = 0.2});
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(took, 0.6);  // A loaded machine may oversleep.
  EXPECT_FALSE(crossover.points.empty());
  EXPECT_LT(crossover.points.back().rows, 256U);
}

TEST(Crossover, AGpuThatFailsGetsNothing) {
  const auto fine = [](size_t) { return true; };
  const auto broken = [](size_t) { return false; };
  EXPECT_EQ(MeasureCrossover(fine, broken).rows, SIZE_MAX);
  EXPECT_EQ(MeasureCrossover(broken, fine).rows, 0U);
}

TEST(CudaModule, IsAbsentWithoutHarm) {
  const CudaModule missing("/nonexistent/libdriftseal_cuda.so");
  EXPECT_FALSE(missing.ready());
  EXPECT_EQ(missing.remark(), "the CUDA module is not installed");
  const CudaModule other("libm.so.6");
  EXPECT_FALSE(other.ready());
  EXPECT_NE(other.remark().find("is no CUDA module"), std::string::npos);
}

// Where the module was built: it loads, and then has a GPU or says why not.
TEST(CudaModule, LoadsWhereItWasBuilt) {
  const std::string path = DRIFTSEAL_BINARY_DIR "/bin/libdriftseal_cuda.so";
  const CudaModule module(path);
  if (!module.ready()) {
    EXPECT_TRUE(module.remark() == "no GPU or no driver" || module.remark() == "the CUDA module is not installed")
        << module.remark();
    return;
  }
  int status = -1;
  const CudaContextPtr context = module.Open({}, &status);
  ASSERT_NE(context, nullptr) << module.api().error_text(status);
  // A member's variants are named without gaps.
  for (uint32_t member = 0; member < kCudaMembers; ++member) {
    EXPECT_NE(module.api().variant_name(member, 0), nullptr);
    EXPECT_EQ(module.api().variant_name(member, 1000), nullptr);
  }
  const svm::Svm svm{2, {0, 0, 3, 4}, {0.5, 0.25}, 0.1, 0.6};
  const ensemble::CudaView view({.svm = &svm}, 2);
  const CudaDetectorPtr detector = module.Upload(context.get(), view.model(), &status);
  ASSERT_NE(detector, nullptr) << module.api().error_text(status);
  const float row[2] = {3, 4};
  float score = NAN;
  const CudaGroup group{detector.get(), 1};
  CudaCall call{&group, 1, row, {}, 0};
  call.scores[kCudaSvm] = &score;
  ASSERT_EQ(module.api().score(context.get(), &call), 0);
  EXPECT_NEAR(score, 0.6 - (0.5 * std::exp(-2.5) + 0.25), 1e-5);
}

TEST(CudaView, PointsAtTheMembers) {
  const svm::Svm svm{2, {0, 0, 3, 4}, {0.5, 0.25}, 0.1, 0.6};
  forest::Forest forest;
  forest.nodes = {{0, 0.5F, 1, 2, 0}, {-1, 0, -1, -1, 1}, {-1, 0, -1, -1, 2}};
  forest.roots = {0};
  forest.sample_size = 256;
  ensemble::CudaView view({.forest = &forest, .svm = &svm}, 2);
  const CudaModel& model = view.model();
  EXPECT_EQ(model.cols, 2U);
  EXPECT_EQ(model.autoencoder, nullptr);
  EXPECT_EQ(model.mahalanobis, nullptr);
  EXPECT_EQ(model.neighbours, nullptr);
  ASSERT_NE(model.forest, nullptr);
  EXPECT_EQ(model.forest->nodes[2].path, 2);
  EXPECT_EQ(model.forest->nodes[0].threshold, 0.5F);
  EXPECT_DOUBLE_EQ(model.forest->norm, forest::MeanPath(256) * 65536);
  ASSERT_NE(model.svm, nullptr);
  EXPECT_EQ(model.svm->vectors[3], 4);
  EXPECT_EQ(model.svm->count, 2U);
  for (int32_t force : model.force) EXPECT_EQ(force, -1);
  view.Force(ensemble::kSvm, 5);
  EXPECT_EQ(model.force[kCudaSvm], 5);
  view.WantPathSums();
  EXPECT_LT(model.forest->norm, 0);
}

}  // namespace
}  // namespace driftseal::kernels::device
