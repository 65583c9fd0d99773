#include "engine/replay/protocol/train.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/artifact/source.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

// Limits of one request: far above what an engine asks for, far below what would hurt.
constexpr uint32_t kMostHidden = 16, kWidest = 4096, kMostEpochs = 100000;

artifact::Source FromPayload(std::string_view name, std::string_view payload) {
  std::vector<std::byte> bytes(payload.size());
  if (!payload.empty()) std::memcpy(bytes.data(), payload.data(), payload.size());
  return artifact::Source::FromBytes(std::string(name), std::move(bytes));
}

absl::Status Check(const TrainJob& job, size_t number, const std::vector<TrainingSet>& sets) {
  const auto bad = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("request: jobs[", number, "].", std::string(what)));
  };
  if (job.set >= sets.size()) return bad("set is no training set");
  const TrainingSet& set = sets[job.set];
  if (job.hidden.empty() || job.hidden.size() > kMostHidden) return bad("hidden has no or too many layers");
  for (uint32_t width : job.hidden) {
    if (width == 0 || width > kWidest) return bad("hidden holds a width of 0 or above 4096");
  }
  for (size_t i = 0; i < job.leave_out.size(); ++i) {
    if (job.leave_out[i] >= set.rows) return bad("leave_out names a row that is not there");
    if (i > 0 && job.leave_out[i] <= job.leave_out[i - 1]) return bad("leave_out is not ascending");
  }
  if (job.leave_out.size() >= set.rows) return bad("leave_out leaves no row");
  if (job.epochs == 0 || job.epochs > kMostEpochs) return bad("epochs is not within 1..100000");
  if (!(job.learning_rate > 0) || !std::isfinite(job.learning_rate)) return bad("learning_rate is not positive");
  if (!(job.weight_decay >= 0) || !std::isfinite(job.weight_decay)) return bad("weight_decay is negative");
  return absl::OkStatus();
}

TrainJob JobFromJson(const Json& json) {  // throws Json::exception
  TrainJob job;
  json.at("set").get_to(job.set);
  json.at("leave_out").get_to(job.leave_out);
  json.at("hidden").get_to(job.hidden);
  json.at("epochs").get_to(job.epochs);
  json.at("learning_rate").get_to(job.learning_rate);
  json.at("weight_decay").get_to(job.weight_decay);
  json.at("seed").get_to(job.seed);
  return job;
}

std::string LayerName(size_t job, size_t layer, std::string_view part) {
  return absl::StrCat("job.", job, ".layer.", layer, ".", std::string(part));
}

}  // namespace

absl::StatusOr<std::string> EncodeRequest(const TrainRequest& request) {
  Json jobs = Json::array();
  for (const TrainJob& job : request.jobs) {
    jobs.push_back({{"set", job.set},
                    {"leave_out", job.leave_out},
                    {"hidden", job.hidden},
                    {"epochs", job.epochs},
                    {"learning_rate", job.learning_rate},
                    {"weight_decay", job.weight_decay},
                    {"seed", job.seed}});
  }
  std::vector<artifact::NamedTensor> tensors;
  for (size_t i = 0; i < request.sets.size(); ++i) {
    const TrainingSet& set = request.sets[i];
    tensors.push_back(Tensor(absl::StrCat("set.", i), {set.rows, set.cols}, set.values));
  }
  const Json head = {{"sets", request.sets.size()}, {"threads", request.threads}, {"jobs", jobs}};
  return artifact::WriteSafetensors(tensors, {{"command", "train"}, {"request", head.dump()}});
}

absl::StatusOr<TrainRequest> DecodeRequest(std::string_view payload) {
  const artifact::Source source = FromPayload("request", payload);
  absl::StatusOr<TensorReader> reader = TensorReader::Open(source);
  if (!reader.ok()) return reader.status();
  const auto& metadata = reader->metadata();
  const auto command = metadata.find("command"), text = metadata.find("request");
  if (command == metadata.end() || command->second != "train" || text == metadata.end()) {
    return absl::InvalidArgumentError("request: the metadata has no \"command\": \"train\" with a \"request\"");
  }
  TrainRequest request;
  size_t sets = 0;
  try {
    const Json head = Json::parse(text->second);
    head.at("sets").get_to(sets);
    head.at("threads").get_to(request.threads);
    for (const Json& job : head.at("jobs")) request.jobs.push_back(JobFromJson(job));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("request: ", error.what()));
  }
  for (size_t i = 0; i < sets; ++i) {
    const std::string name = absl::StrCat("set.", i);
    absl::StatusOr<std::vector<float>> values = reader->Read<float>(name, 2);
    if (!values.ok()) return values.status();
    const std::vector<uint64_t> shape = *reader->Shape(name);
    if (values->empty()) return absl::InvalidArgumentError(absl::StrCat("request: ", name, " is empty"));
    request.sets.push_back({shape[0], shape[1], *std::move(values)});
  }
  for (size_t i = 0; i < request.jobs.size(); ++i) {
    if (absl::Status status = Check(request.jobs[i], i, request.sets); !status.ok()) return status;
  }
  return request;
}

absl::StatusOr<std::string> EncodeResponse(const TrainResponse& response) {
  std::vector<artifact::NamedTensor> tensors;
  for (size_t j = 0; j < response.size(); ++j) {
    for (size_t l = 0; l < response[j].size(); ++l) {
      const TrainedLayer& layer = response[j][l];
      tensors.push_back(Tensor(LayerName(j, l, "weight"), {layer.outputs, layer.inputs}, layer.weights));
      tensors.push_back(Tensor(LayerName(j, l, "bias"), {layer.outputs}, layer.bias));
    }
  }
  return artifact::WriteSafetensors(tensors, {{"answer", "train"}});
}

std::string EncodeError(const absl::Status& error) {
  // The text goes into JSON: what is not ASCII is left out, so that no encoding can be wrong.
  std::string text;
  for (char c : error.message()) text += c >= ' ' && c <= '~' ? c : '?';
  return artifact::WriteSafetensors({}, {{"error", text}}).value_or(std::string());
}

absl::StatusOr<TrainResponse> DecodeResponse(std::string_view payload, const TrainRequest& request) {
  const artifact::Source source = FromPayload("response", payload);
  absl::StatusOr<TensorReader> reader = TensorReader::Open(source);
  if (!reader.ok()) return reader.status();
  if (const auto error = reader->metadata().find("error"); error != reader->metadata().end()) {
    return absl::InternalError(error->second);
  }
  TrainResponse response;
  for (size_t j = 0; j < request.jobs.size(); ++j) {
    const TrainJob& job = request.jobs[j];
    const size_t cols = request.sets[job.set].cols;
    std::vector<TrainedLayer> layers;
    for (size_t l = 0; l <= job.hidden.size(); ++l) {
      TrainedLayer layer;
      layer.inputs = l == 0 ? cols : job.hidden[l - 1];
      layer.outputs = l == job.hidden.size() ? cols : job.hidden[l];
      absl::StatusOr<std::vector<float>> weights = reader->Read<float>(LayerName(j, l, "weight"), 2);
      if (!weights.ok()) return weights.status();
      absl::StatusOr<std::vector<float>> bias = reader->Read<float>(LayerName(j, l, "bias"), 1);
      if (!bias.ok()) return bias.status();
      if (*reader->Shape(LayerName(j, l, "weight")) != std::vector<uint64_t>{layer.outputs, layer.inputs} ||
          bias->size() != layer.outputs) {
        return absl::InvalidArgumentError(absl::StrCat("response: layer ", l, " of job ", j, " has the wrong shape"));
      }
      layer.weights = *std::move(weights);
      layer.bias = *std::move(bias);
      layers.push_back(std::move(layer));
    }
    response.push_back(std::move(layers));
  }
  return response;
}

}  // namespace driftseal::replay
