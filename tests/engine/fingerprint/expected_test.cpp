// Feature values against those that data/make_expected.py computed with NumPy.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

const std::string kData = std::string(DRIFTSEAL_SOURCE_DIR) + "/tests/engine/fingerprint/data";

void Compare(const Fingerprint& print, const nlohmann::json& expected) {
  for (const auto& [name, value] : expected.items()) {
    ASSERT_LT(ColumnOf(name), print.values.size()) << name;
    const double found = ValueOf(print, name);
    if (value.is_null()) {
      EXPECT_TRUE(std::isnan(found)) << name << " " << found;
    } else {
      const double wanted = value.get<double>();
      EXPECT_NEAR(found, wanted, 1e-6 + 2e-6 * std::fabs(wanted)) << name << " " << ReasonFor(print, name);
    }
  }
}

class Expected : public testing::Test {
 protected:
  Fingerprint Print(const std::string& json) {
    const auto root = artifact::Root::Open(kData);
    EXPECT_TRUE(root.ok()) << root.status();
    const auto meta = ParseMeta(json, "test");
    EXPECT_TRUE(meta.ok()) << meta.status();
    return FromMeta(*meta, "", *root, {});
  }
  const nlohmann::json expected_ = nlohmann::json::parse(ReadText(kData + "/expected.json"));
};

TEST_F(Expected, Weights) {
  const Fingerprint print = Print(R"({"model_name":"m","artifacts":{"model_path":"model.safetensors"}})");
  ASSERT_TRUE(print.files.at(0).status.ok()) << print.files[0].status;
  // Every column of the groups spectral, quantile and head that NumPy has a value for, and nothing else.
  size_t columns = 0;
  for (const Feature& feature : ModelSchema().features) {
    const bool weights =
        feature.group == Group::kSpectral || feature.group == Group::kQuantile || feature.group == Group::kHead;
    columns += weights ? 1 : 0;
    if (weights) {
      EXPECT_TRUE(expected_["weights"].contains(feature.name)) << feature.name;
    }
  }
  EXPECT_EQ(columns + 3, expected_["weights"].size());
  Compare(print, expected_["weights"]);
}

TEST_F(Expected, Classification) {
  const Fingerprint print = Print(
      R"({"model_name":"m","promotion":{"task":"classification"},"artifacts":{"predictions_path":"predictions.csv"}})");
  ASSERT_TRUE(print.files.at(0).status.ok()) << print.files[0].status;
  for (const Feature& feature : ModelSchema().features) {
    if (feature.group == Group::kPredictions) {
      EXPECT_TRUE(expected_["classification"].contains(feature.name)) << feature.name;
    }
  }
  Compare(print, expected_["classification"]);
}

TEST_F(Expected, Regression) {
  for (const std::string task : {"regression", ""}) {
    const Fingerprint print = Print(R"({"model_name":"m","promotion":{"task":")" + task +
                                    R"("},"artifacts":{"predictions_path":"regression.csv"}})");
    ASSERT_TRUE(print.files.at(0).status.ok()) << print.files[0].status;
    Compare(print, expected_["regression"]);
  }
}

}  // namespace
}  // namespace driftseal::fingerprint
