// Opens the model files the way their users do and compares what they say with the predictions files.
#include <gmock/gmock.h>
#include <xgboost/c_api.h>

#include <sstream>

#include "bench/fleet/fashion_data.h"
#include "bench/fleet/fraud_data.h"
#include "bench/fleet/torch_archive.h"
#include "fleet_support.h"

namespace driftseal::fleet {
namespace {

/// The last `columns` columns of a predictions file.
std::vector<float> Probabilities(const std::string& csv, size_t columns) {
  std::istringstream text(csv);
  std::string line;
  std::getline(text, line);
  std::vector<float> out;
  while (std::getline(text, line)) {
    std::istringstream cells(line);
    std::vector<float> row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(std::stof(cell));
    out.insert(out.end(), row.end() - static_cast<std::ptrdiff_t>(columns), row.end());
  }
  return out;
}

class Saved : public testing::TestWithParam<std::string> {};

TEST_P(Saved, TorchScriptArchivesRunAndGiveThePredictions) {
  const std::string folder = TestFolder() + "/models", domain = GetParam();
  ASSERT_TRUE(RunFleet({"--output", folder, "--domain", domain, "--synthetic", "--count", "1", "--recipe",
                        "epochs=2,samples=600"})
                  .ok());
  DataOptions options;
  options.synthetic = true;
  const Rows rows = domain == "fraud-mlp" ? FraudPopulation()->test : (*LoadFashion(options))->test;
  std::vector<int64_t> shape = {static_cast<int64_t>(rows.columns)};
  if (domain == "fashion-cnn") shape = {1, 28, 28};
  const auto run = RunTorchArchive(folder + "/" + domain + "-0000.pt", rows, shape);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->parameters, testing::Contains(domain == "fashion-cnn" ? "conv1.weight" : "fc1.weight"));
  EXPECT_THAT(run->parameters, testing::Contains("fc2.bias"));

  const size_t classes = domain == "fraud-mlp" ? 2 : 10, shown = domain == "fraud-mlp" ? 1 : 10;
  const auto expected = Probabilities(ReadFile(folder + "/" + domain + "-0000.predictions.csv"), shown);
  ASSERT_EQ(expected.size(), rows.size() * shown);
  ASSERT_EQ(run->probabilities.size(), rows.size() * classes);
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t at = i / shown * classes + (classes - shown) + i % shown;
    ASSERT_NEAR(run->probabilities[at], expected[i], 1e-4) << "at " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Domains, Saved, testing::Values("fashion-cnn", "fashion-mlp", "fraud-mlp"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           name[name.find('-')] = '_';
                           return name;
                         });

class SavedBooster : public testing::TestWithParam<std::string> {};

TEST_P(SavedBooster, LoadsAndGivesThePredictions) {
  const std::string folder = TestFolder() + "/models", format = GetParam();
  ASSERT_TRUE(RunFleet({"--output", folder, "--domain", "fraud-xgb", "--count", "1", "--recipe", "samples=600",
                        "--format", format})
                  .ok());
  BoosterHandle booster = nullptr;
  ASSERT_EQ(XGBoosterCreate(nullptr, 0, &booster), 0);
  ASSERT_EQ(XGBoosterLoadModel(booster, (folder + "/fraud-xgb-0000." + format).c_str()), 0) << XGBGetLastError();
  const auto data = FraudPopulation();
  DMatrixHandle matrix = nullptr;
  ASSERT_EQ(XGDMatrixCreateFromMat(data->test.values.data(), data->test.size(), data->test.columns, NAN, &matrix), 0);
  const char* config = R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false})";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* p = nullptr;
  ASSERT_EQ(XGBoosterPredictFromDMatrix(booster, matrix, config, &shape, &dimensions, &p), 0) << XGBGetLastError();
  const auto expected = Probabilities(ReadFile(folder + "/fraud-xgb-0000.predictions.csv"), 1);
  ASSERT_EQ(shape[0], expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(p[i], expected[i], 1e-4) << "at " << i;
  XGDMatrixFree(matrix);
  XGBoosterFree(booster);
}

INSTANTIATE_TEST_SUITE_P(Formats, SavedBooster, testing::Values("json", "ubj"),
                         [](const auto& parameter) { return parameter.param; });

TEST(SavedSafetensors, HasTheNamesOfTheStateDict) {
  const std::string folder = TestFolder() + "/models";
  ASSERT_TRUE(RunFleet({"--output", folder, "--domain", "fraud-mlp", "--count", "1", "--recipe", "epochs=1,samples=600",
                        "--format", "safetensors"})
                  .ok());
  const std::string bytes = ReadFile(folder + "/fraud-mlp-0000.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header.at("fc1.weight").at("shape"), nlohmann::json({32, 16}));
  EXPECT_EQ(header.at("fc3.bias").at("dtype"), "F32");
}

}  // namespace
}  // namespace driftseal::fleet
