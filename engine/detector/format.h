#ifndef DRIFTSEAL_ENGINE_DETECTOR_FORMAT_H_
#define DRIFTSEAL_ENGINE_DETECTOR_FORMAT_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

// Names and limits that writing and reading share; docs/formats/detector.md describes the files.
namespace driftseal::detector::format {

inline constexpr char kFormat[] = "driftseal-detector";
inline constexpr int kFormatVersion = 3;
inline constexpr char kStateFile[] = "detector_state.json", kArraysFile[] = "detector.safetensors";
inline constexpr uint64_t kStateLimit = 64u << 20;  ///< Bytes.

/// In the order of kernels::autoencoder::Activation, kernels::neighbours::Distance and Scaling.
inline constexpr std::array<std::string_view, 4> kActivations = {"identity", "relu", "tanh", "logistic"};
inline constexpr std::array<std::string_view, 2> kDistances = {"mean", "kth"};
inline constexpr std::array<std::string_view, 2> kScalings = {"robust", "standard"};

inline constexpr std::array<std::string_view, 3> kViews = {"files", "behaviour", "still"};  ///< In the order of View.

inline constexpr char kGlobalPrefix[] = "global";
inline std::string FamilyPrefix(size_t index) { return "family." + std::to_string(index); }

}  // namespace driftseal::detector::format

#endif  // DRIFTSEAL_ENGINE_DETECTOR_FORMAT_H_
