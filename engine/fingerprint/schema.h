#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_SCHEMA_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_SCHEMA_H_

#include <string>
#include <string_view>
#include <vector>

namespace driftseal::fingerprint {

enum class Group {
  kMeta,
  kPredictions,
  kSpectral,
  kQuantile,
  kHead,
  kTrees,
  kStill,
  kBehaviour,
  kBalance,
  kContext,
  kPair
};
/// "meta", "predictions", "spectral", "quantile", "head", "trees", "still", "behaviour", "balance", "context", "pair"
std::string_view GroupName(Group group);

/// One column of the fingerprint. `name` is stable for ever within a schema version.
struct Feature {
  std::string name;
  Group group;
  std::string unit;        ///< "1" for a pure number.
  std::string definition;  ///< How it is computed, in one sentence, with its source where it has one.
};

/// The versioned table of columns; position in `features` is the column.
struct Schema {
  std::string name;
  int version;
  std::vector<Feature> features;
  std::string digest;  ///< SHA-256 (hex) over name, version and every feature's name, unit and definition.
};

/// Schema of a model's fingerprint.
const Schema& ModelSchema();
/// The table as Markdown, from which docs/formats/fingerprint.md is made (`driftseal schema`).
std::string SchemaMarkdown(const Schema& schema);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_SCHEMA_H_
