#ifndef DRIFTSEAL_ENGINE_DETECTOR_STATE_READER_H_
#define DRIFTSEAL_ENGINE_DETECTOR_STATE_READER_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::detector {

using Json = nlohmann::json;

/// Reads the fields of a state and the arrays beside it, and remembers the first thing that was wrong. What is read
/// after that is empty or zero, and nothing of it is used: the caller asks for status() before it believes anything.
class StateReader {
 public:
  /// `file` names the JSON in errors. `arrays` may be null while none is read.
  StateReader(std::string file, const replay::TensorReader* arrays) : file_(std::move(file)), arrays_(arrays) {}

  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  /// "<file>: <where>: <what>", unless something was wrong before.
  void Fail(const std::string& where, const std::string& what);
  void Expect(bool condition, const std::string& where, const std::string& what) {
    if (!condition) Fail(where, what);
  }

  /// A field of an object, of the type that the name says. `where` is the object's path in the file.
  const Json& Object(const Json& parent, const std::string& where, const std::string& field);
  const Json& Array(const Json& parent, const std::string& where, const std::string& field);
  std::string Text(const Json& parent, const std::string& where, const std::string& field);
  double Number(const Json& parent, const std::string& where, const std::string& field);
  uint64_t Count(const Json& parent, const std::string& where, const std::string& field, uint64_t limit = UINT64_MAX);
  /// Null or a number.
  std::optional<double> OptionalNumber(const Json& parent, const std::string& where, const std::string& field);
  /// Position of a field's text, or of `value`, among `choices`.
  size_t Choice(const Json& parent, const std::string& where, const std::string& field,
                std::span<const std::string_view> choices);
  size_t Choice(const Json& value, const std::string& where, std::span<const std::string_view> choices);
  /// A member of an object that may be null or missing.
  const Json* Optional(const Json& parent, const std::string& where, const std::string& field);

  /// An array with finite values: of `size` values, or of rows × cols.
  template <class T>
  std::vector<T> Vector(const std::string& name, std::optional<uint64_t> size = std::nullopt);
  std::vector<double> Rows(const std::string& name, std::optional<uint64_t> rows, uint64_t cols);

 private:
  const Json& Field(const Json& parent, const std::string& where, const std::string& field);
  bool ShapeIs(const std::string& name, const std::vector<std::optional<uint64_t>>& expected);

  std::string file_;
  const replay::TensorReader* arrays_;
  absl::Status status_;
};

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_STATE_READER_H_
