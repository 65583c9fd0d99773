#include "engine/fingerprint/schema.h"

#include <gmock/gmock.h>

#include <set>

#include "engine/fingerprint/columns.h"
#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

// A change here breaks every detector that was fitted before: it belongs to a new version of the schema.
constexpr std::string_view kDigestOfVersion = "6b5b85a046f8d49967119d6089b13fbb6537e7cc3048bee1c5daafbccd8edcae";

TEST(Schema, HasItsVersion) {
  EXPECT_EQ(ModelSchema().name, "model-fingerprint");
  EXPECT_EQ(ModelSchema().version, 4);
  EXPECT_EQ(ModelSchema().digest, kDigestOfVersion);
}

TEST(Schema, NamesAreUniqueAndBeginWithTheirGroup) {
  std::set<std::string> names;
  for (const Feature& feature : ModelSchema().features) {
    EXPECT_TRUE(names.insert(feature.name).second) << feature.name;
    EXPECT_EQ(feature.name.substr(0, feature.name.find('.')), GroupName(feature.group));
    EXPECT_FALSE(feature.unit.empty()) << feature.name;
    EXPECT_FALSE(feature.definition.empty()) << feature.name;
  }
}

TEST(Schema, ColumnsAgreeWithTheirPositions) {
  const auto& features = ModelSchema().features;
  ASSERT_EQ(features.size(), kColumns);
  EXPECT_EQ(features[kMetaFirst + kParameterMismatch].name, "meta.parameter_mismatch");
  EXPECT_EQ(features[kPredictionsFirst + kDetermination].name, "predictions.determination");
  EXPECT_EQ(features[SpectralColumn(5, kSigmaRatio)].name, "spectral.slot6.sigma_ratio");
  EXPECT_EQ(features[SpectralAggregateColumn(kSigmaRatio, kAggregateMax)].name, "spectral.all.sigma_ratio_max");
  EXPECT_EQ(features[QuantileColumn(5, kBias, kQ100)].name, "quantile.slot6.bias_q100");
  EXPECT_EQ(features[VectorColumn(kRunningVariance, kVectorMax)].name, "quantile.running_var_max");
  EXPECT_EQ(features[HeadColumn(kRowExpectedLogit, kTopGap)].name, "head.expected_logit_top_gap");
  EXPECT_EQ(features[kHeadCosineFirst + kCosineMin].name, "head.cosine_min");
  EXPECT_EQ(features[kTreesFirst + kBaseScore].name, "trees.base_score");
}

TEST(Schema, TheDocumentIsMadeFromTheTable) {
  const std::string path = std::string(DRIFTSEAL_SOURCE_DIR) + "/docs/formats/fingerprint.md";
  const std::string markdown = SchemaMarkdown(ModelSchema());
  EXPECT_EQ(ReadText(path), markdown);
  for (const Feature& feature : ModelSchema().features)
    EXPECT_NE(markdown.find("`" + feature.name + "`"), markdown.npos);
}

}  // namespace
}  // namespace driftseal::fingerprint
