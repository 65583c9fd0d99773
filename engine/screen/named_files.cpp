#include "engine/screen/named_files.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/canary/materialize.h"
#include "engine/fingerprint/meta.h"

namespace driftseal::screen {
namespace {

namespace fs = std::filesystem;

// Below it a thread costs more than it saves.
constexpr size_t kMetasPerThread = 256;

using Candidates = std::unordered_set<std::string_view>;

// What some of the meta files name; one of these a thread.
class Reader {
 public:
  Reader(const std::string& root, const Candidates& candidates) : root_(root), candidates_(candidates) {
    std::error_code error;
    absolute_ = fs::absolute(root, error).lexically_normal();
    canonical_ = fs::canonical(root, error);
  }

  void AddFrom(const std::string& meta_path) {
    absl::StatusOr<artifact::Source> source = artifact::Source::Open(artifact::Cat(root_, "/", meta_path));
    if (!source.ok()) return;  // It is a subject itself, and will be reported as one.
    absl::StatusOr<fingerprint::ModelMeta> meta = fingerprint::ReadMeta(*source);
    if (!meta.ok()) return;
    const fs::path folder = fs::path(meta_path).parent_path();
    Add(folder, meta->model_path);
    Add(folder, meta->predictions_path);
    AddCanaries(folder, meta->canary_path);
  }
  void MoveTo(std::unordered_set<std::string>& all) { all.merge(named_); }

 private:
  // A name alone would hide any file from being screened: what it names must hold canaries and nothing else.
  void AddCanaries(const fs::path& folder, const fs::path& file) {
    for (const fs::path& path : {(folder / file).lexically_normal(), file.lexically_normal()}) {
      if (file.empty() || file.is_absolute() || !candidates_.contains(path.generic_string())) continue;
      absl::StatusOr<artifact::Source> source = artifact::Source::Open((fs::path(root_) / path).string());
      if (source.ok() && canary::IsCanaryFile(*source)) return AddCandidate(path.generic_string());
    }
  }
  // The same order in which the fingerprint looks: beside the meta file, then beneath the root.
  void Add(const fs::path& folder, const fs::path& file) {
    if (file.empty()) return;
    if (file.is_absolute()) {
      AddCandidate(file.lexically_normal().lexically_relative(absolute_).generic_string());
      AddCandidate(file.lexically_normal().lexically_relative(canonical_).generic_string());
      return;
    }
    std::string beside = (folder / file).lexically_normal().generic_string();
    std::string rooted = file.lexically_normal().generic_string();
    if (!candidates_.contains(beside) && !candidates_.contains(rooted)) return;  // Spares asking the file system.
    std::error_code error;
    AddCandidate(fs::exists(fs::path(root_) / beside, error) ? std::move(beside) : std::move(rooted));
  }
  void AddCandidate(std::string path) {
    if (candidates_.contains(path)) named_.insert(std::move(path));
  }

  const std::string& root_;
  const Candidates& candidates_;
  fs::path absolute_, canonical_;
  std::unordered_set<std::string> named_;
};

}  // namespace

std::unordered_set<std::string> NamedFiles(const std::string& root, std::span<const std::string> metas,
                                           std::span<const std::string> candidates, unsigned threads) {
  const Candidates known(candidates.begin(), candidates.end());
  const size_t useful = std::clamp<size_t>(metas.size() / kMetasPerThread, 1, std::max(1u, threads));
  std::vector<Reader> readers(useful, Reader(root, known));
  std::atomic<size_t> next{0};
  {
    std::vector<std::jthread> pool;
    for (Reader& reader : readers) {
      pool.emplace_back([&] {
        for (size_t i = next++; i < metas.size(); i = next++) reader.AddFrom(metas[i]);
      });
    }
  }
  std::unordered_set<std::string> all;
  for (Reader& reader : readers) reader.MoveTo(all);
  return all;
}

}  // namespace driftseal::screen
