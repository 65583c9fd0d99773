#ifndef DRIFTSEAL_ENGINE_APP_ARGUMENTS_H_
#define DRIFTSEAL_ENGINE_APP_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

// What the user asked for. One struct for all commands: each reads what belongs to it.
namespace driftseal::app {

struct Arguments {
  std::vector<std::string> paths;
  std::string root;
  std::string meta_glob = "**/*.meta.json";
  bool only_eligible = false;
  std::string model_dir = "driftseal_detector";
  std::string output_path;
  bool overwrite = false;
  std::string backend;  ///< As detector::BackendOptions::name; empty: what the command takes.
  size_t crossover_rows = 0;
  bool json = false;
  bool show_all = false;
  bool restart = false;
  unsigned threads = 0;
  double alpha = 0.05, quarantine_alpha = 0.01, delta = 0.05;
  // fit
  std::string name = "driftseal";
  int version = 0;  ///< 0: not named.
  uint64_t seed = 1;
  double calibration_share = 0.5;
  size_t family_minimum = 20;
  bool activate = false;
  // --engine
  std::string engine;  ///< Its address; empty: the work is done here.
  std::string detector, token_file, tls_ca, tls_cert, tls_key;
  bool tls = false, plaintext_token = false;
  // what runs models
  std::vector<std::string> allow_missing_sandbox;  ///< As canary::PoolOptions::allow_missing.
  std::vector<std::string> canary;                 ///< fit: files and folders of canary sets.
  bool no_replay = false;
  double replay_timeout = 60;  ///< Seconds of one model.
  std::string picture;         ///< verify: where the triggered input's picture goes; empty: in --model-dir.
  // sanitize_predictions
  double contamination = 0.05;
};

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_ARGUMENTS_H_
