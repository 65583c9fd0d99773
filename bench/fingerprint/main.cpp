// What a fingerprint costs, by its parts, on one thread with a warm page cache: a small CNN and a small MLP (about 50
// KB each, safetensors) with a predictions file of 500 rows. Checks that a fingerprint is whole before it times
// anything.
//
//   bench-fingerprint [repetitions]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/fingerprint.h"
#include "engine/fingerprint/prediction_features.h"
#include "engine/fingerprint/row.h"
#include "engine/fingerprint/tensor_features.h"

namespace {

using namespace driftseal;
using namespace driftseal::fingerprint;

std::mt19937 generator(7);

artifact::NamedTensor Normal(const std::string& name, std::vector<uint64_t> shape) {
  std::normal_distribution<float> normal(0, 0.1f);
  uint64_t count = 1;
  for (const uint64_t side : shape) count *= side;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  const auto* first = reinterpret_cast<const std::byte*>(values.data());
  return {name, std::move(shape), artifact::DType::kF32, {first, first + count * sizeof(float)}};
}

std::string Predictions(int rows, int classes) {
  std::string text = "y_true,y_pred";
  for (int c = 0; c < classes; ++c) text.append(",p_").append(std::to_string(c));
  for (int r = 0; r < rows; ++r) {
    text.append("\n").append(std::to_string(generator() % 10)).append(",").append(std::to_string(generator() % 10));
    for (int c = 0; c < classes; ++c)
      text.append(",").append(std::to_string(static_cast<double>(generator()) / 4294967296.0));
  }
  return text + "\n";
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(3);
}

// Median microseconds of a call.
void Time(const char* what, int repetitions, const std::function<void()>& call) {
  std::vector<double> micros;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(micros.begin(), micros.begin() + repetitions / 2, micros.end());
  std::printf("  %-34s %8.1f us\n", what, micros[static_cast<size_t>(repetitions) / 2]);
}

void Bench(const std::string& name, const std::vector<artifact::NamedTensor>& tensors, const std::string& directory,
           int repetitions) {
  const auto bytes = artifact::WriteSafetensors(tensors, {});
  Check(bytes.status());
  const std::string csv = Predictions(500, 10), path = directory + "/" + name;
  const std::string json =
      R"({"model_name":")" + name + R"(","domain":"vision","artifacts":{"model_path":")" + name +
      R"(.safetensors","predictions_path":")" + name +
      R"(.csv"},"promotion":{"task":"classification","primary":0.9,"baseline":0.1,"eligible":true},)" +
      R"("training":{"seconds":12.5,"parameters":12000,"recipe":{"epochs":8}}})";
  Check(artifact::WriteFileAtomically(path + ".safetensors", *bytes));
  Check(artifact::WriteFileAtomically(path + ".csv", csv));
  Check(artifact::WriteFileAtomically(path + ".meta.json", json));
  const auto root = artifact::Root::Open(directory);
  Check(root.status());

  const auto whole = [&] {
    const auto source = root->OpenFile(name + ".meta.json");
    Check(source.status());
    const auto meta = ReadMeta(*source);
    Check(meta.status());
    return FromMeta(*meta, "", *root, {});
  };
  for (const FileEvidence& file : whole().files) Check(file.status);

  std::printf("%s: model %zu bytes, predictions %zu bytes\n", name.c_str(), bytes->size(), csv.size());
  Time("whole fingerprint", repetitions, [&] { whole(); });
  Time("meta file", repetitions, [&] { Check(ReadMeta(*root->OpenFile(name + ".meta.json")).status()); });
  const auto model = root->OpenFile(name + ".safetensors");
  const auto predictions = root->OpenFile(name + ".csv");
  Check(model.status());
  Check(predictions.status());
  Time("open and read the model", repetitions, [&] { Check(root->OpenFile(name + ".safetensors").status()); });
  Time("SHA-256, both files", repetitions, [&] {
    Check(artifact::Sha256(*model).status());
    Check(artifact::Sha256(*predictions).status());
  });
  Time("tensor table", repetitions, [&] { Check(artifact::ReadModelFile(*model).status()); });
  const auto parsed = artifact::ReadModelFile(*model);
  Time("architecture digest", repetitions, [&] { artifact::ArchitectureDigest(*parsed); });
  Time("spectral, quantile and head", repetitions, [&] {
    Row row(kColumns);
    Check(FillTensorFeatures(*model, std::get<artifact::TensorTable>(parsed->content), row));
  });
  Time("predictions: CSV", repetitions, [&] { Check(ReadCsv(*predictions).status()); });
  const auto table = ReadCsv(*predictions);
  Time("predictions: features", repetitions, [&] {
    Row row(kColumns);
    FillPredictionFeatures(*table, "classification", row);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 300;
  std::string pattern = (std::filesystem::temp_directory_path() / "bench-fingerprint-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return 3;
  Bench("cnn",
        {Normal("conv1.weight", {8, 1, 3, 3}), Normal("conv1.bias", {8}), Normal("conv2.weight", {16, 8, 3, 3}),
         Normal("conv2.bias", {16}), Normal("fc1.weight", {24, 400}), Normal("fc1.bias", {24}),
         Normal("fc2.weight", {10, 24}), Normal("fc2.bias", {10})},
        pattern, repetitions);
  Bench("mlp",
        {Normal("fc1.weight", {32, 360}), Normal("fc1.bias", {32}), Normal("fc2.weight", {24, 32}),
         Normal("fc2.bias", {24}), Normal("fc3.weight", {10, 24}), Normal("fc3.bias", {10})},
        pattern, repetitions);
  std::filesystem::remove_all(pattern);
  return 0;
}
