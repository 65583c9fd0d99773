// XGBoost JSON and UBJ through its C interface.
#include <xgboost/c_api.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/replay/probe/runtime.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

struct FreeBooster {
  void operator()(void* handle) const { XGBoosterFree(handle); }
};
using Booster = std::unique_ptr<void, FreeBooster>;

std::string LastError() { return ForeignMessage(XGBGetLastError()); }

class XgboostRuntime : public Runtime {
 public:
  XgboostRuntime(Booster booster, size_t columns) : booster_(std::move(booster)), columns_(columns) {}

  absl::Status Run(std::span<const float> inputs, size_t count, std::vector<float>& outputs) override {
    // The array interface of NumPy; "type": 1 asks for margins.
    const Json array = {{"data", Json::array({reinterpret_cast<uintptr_t>(inputs.data()), true})},
                        {"shape", Json::array({count, columns_})},
                        {"typestr", "<f4"},
                        {"version", 3}};
    static constexpr char kConfig[] =
        R"({"type": 1, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": true,
            "missing": NaN, "cache_id": 0})";
    const bst_ulong* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* result = nullptr;
    if (XGBoosterPredictFromDense(booster_.get(), array.dump().c_str(), kConfig, nullptr, &shape, &dimensions,
                                  &result) != 0) {
      return absl::InternalError(absl::StrCat("XGBoost: ", LastError()));
    }
    size_t values = 1;
    for (bst_ulong d = 0; d < dimensions; ++d) values *= shape[d];
    if (dimensions == 0 || shape[0] != count || values == 0) {
      return absl::InvalidArgumentError(absl::StrCat("the booster answers ", count, " rows with ", values, " values"));
    }
    outputs.assign(result, result + values);
    return absl::OkStatus();
  }

  absl::Status RunBack(std::span<const float>, size_t, Pull, std::span<float>) override {
    return absl::FailedPreconditionError("trees have no gradient");
  }
  absl::StatusOr<Head> LastLayer(size_t) override { return absl::FailedPreconditionError("trees have no last layer"); }

 private:
  Booster booster_;
  size_t columns_;
};

/// "binary:logistic". Empty when the configuration does not say.
std::string ObjectiveOf(BoosterHandle booster) {
  bst_ulong length = 0;
  const char* text = nullptr;
  if (XGBoosterSaveJsonConfig(booster, &length, &text) != 0) return "";
  const Json config = Json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  const Json::json_pointer place("/learner/objective/name");
  return config.is_object() && config.contains(place) && config[place].is_string() ? config[place].get<std::string>()
                                                                                   : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> OpenXgboost(std::span<const std::byte> model, const CanarySet& set) {
  // Anything else would be read as XGBoost's old binary format, whose reader believes every length.
  if (model.size() < 2 || model[0] != std::byte{'{'}) {
    return absl::InvalidArgumentError("no XGBoost model: neither JSON nor UBJ, which begin with {");
  }
  BoosterHandle handle = nullptr;
  if (XGBoosterCreate(nullptr, 0, &handle) != 0) return absl::InternalError(absl::StrCat("XGBoost: ", LastError()));
  Booster booster(handle);
  if (XGBoosterLoadModelFromBuffer(handle, model.data(), model.size()) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("no XGBoost model: ", LastError()));
  }
  XGBoosterSetParam(handle, "nthread", "1");
  XGBoosterSetParam(handle, "device", "cpu");
  const std::string objective = ObjectiveOf(handle);
  if (!objective.starts_with("binary:") && !objective.starts_with("multi:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the booster's objective is ", ForeignMessage(objective), ", expected binary:* or multi:*"));
  }
  bst_ulong columns = 0;
  if (XGBoosterGetNumFeature(handle, &columns) != 0 || columns != set.elements()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the booster takes ", columns, " columns, the canary set has ", set.elements()));
  }
  return std::make_unique<XgboostRuntime>(std::move(booster), set.elements());
}

}  // namespace driftseal::replay
