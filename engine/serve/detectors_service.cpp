#include "engine/serve/detectors_service.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/serve/detector_proto.h"
#include "engine/serve/fit_canary.h"
#include "engine/serve/pool_call.h"
#include "engine/serve/replays.h"
#include "engine/serve/verifier.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"detector_state.json", "detector.safetensors"};
constexpr uint64_t kFileLimit = uint64_t{4} << 30;

absl::Status GetOne(const Engine& engine, const std::string& id, v1::Detector& response) {
  const absl::StatusOr<detector::RegisteredDetector> found = engine.detectors->Find(id);
  if (!found.ok()) return found.status();
  // By its version: another one may become active meanwhile.
  const auto detector = engine.detectors->Get(Cat(found->name, "@", found->version));
  if (!detector.ok()) return detector.status();
  response = ToProto(*found);
  AddContents(**detector, response);
  if (response.canary_sets_size() > 0) response.set_replays(engine.replays->runs());
  return absl::OkStatus();
}

// A folder of this call's own in the state folder, removed with it.
class Incoming {
 public:
  static absl::StatusOr<Incoming> Make(const Engine& engine) {
    std::string path = Cat(engine.options.state_dir, "/incoming.XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return absl::ErrnoToStatus(errno, "the state folder cannot be written");
    return Incoming(std::move(path));
  }
  Incoming(Incoming&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  Incoming& operator=(Incoming&&) = delete;
  ~Incoming() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  explicit Incoming(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

absl::Status CopyFile(const Engine& engine, const std::string& from, const std::string& to) {
  const absl::StatusOr<artifact::Source> source = engine.root.OpenFile(from);
  if (!source.ok()) return source.status();
  if (source->size() > kFileLimit) {
    return absl::ResourceExhaustedError(Cat(from, ": has ", source->size(), " bytes, the limit is ", kFileLimit));
  }
  absl::StatusOr<artifact::AtomicFile> file = artifact::AtomicFile::Create(to);
  if (!file.ok()) return file.status();
  std::vector<std::byte> scratch;
  constexpr uint64_t kPiece = 1u << 20;
  for (uint64_t at = 0; at < source->size(); at += kPiece) {
    const auto bytes = source->Read(at, std::min(kPiece, source->size() - at), scratch);
    if (!bytes.ok()) return bytes.status();
    const absl::Status written = file->Write({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    if (!written.ok()) return written;
  }
  if (absl::Status status = source->CheckUnchanged(); !status.ok()) return status;
  return file->Commit();
}

// The files are copied first, each opened beneath the root: no link in the folder leads elsewhere, and what is checked
// is what is stored.
absl::Status LoadOne(Engine& engine, const v1::LoadDetectorRequest& request, v1::Detector& response) {
  const absl::StatusOr<std::string> folder = CheckPath(engine, "folder", request.folder());
  if (!folder.ok()) return folder.status();
  const absl::StatusOr<Incoming> incoming = Incoming::Make(engine);
  if (!incoming.ok()) return incoming.status();
  for (const char* name : kFiles) {
    const absl::Status copied = CopyFile(engine, Cat(*folder, "/", name), Cat(incoming->path(), "/", name));
    if (!copied.ok()) return absl::Status(copied.code(), Cat("folder: ", copied.message()));
  }
  absl::StatusOr<detector::Detector> detector = detector::Detector::Load(incoming->path());
  if (!detector.ok()) {
    std::string message(detector.status().message());
    for (size_t at; (at = message.find(incoming->path())) != message.npos;) {
      message.replace(at, incoming->path().size(), *folder);
    }
    // What a damaged file is to the engine's own state is a wrong argument here.
    const auto code =
        absl::IsDataLoss(detector.status()) ? absl::StatusCode::kInvalidArgument : detector.status().code();
    return absl::Status(code, message);
  }
  const absl::StatusOr<std::vector<canary::SetFile>> sets = CanarySetsOf(engine, *detector, *folder);
  if (!sets.ok()) return absl::Status(sets.status().code(), Cat("folder: ", std::string(sets.status().message())));
  const auto added = engine.detectors->Add(*std::move(detector), request.activate(), Beside(*sets));
  if (!added.ok()) return added.status();
  response = ToProto(*added);
  engine.log.Info("detector loaded", {{"detector", Cat(added->name, "@", added->version)}, {"active", added->active}});
  return absl::OkStatus();
}

absl::Status Switched(const Engine& engine, const char* how, const absl::StatusOr<detector::RegisteredDetector>& now,
                      v1::Detector& response) {
  if (!now.ok()) return now.status();
  response = ToProto(*now);
  engine.log.Info(how, {{"detector", Cat(now->name, "@", now->version)}});
  return absl::OkStatus();
}

}  // namespace

DetectorsService::DetectorsService(Engine& engine) : engine_(engine) {}

const Method& DetectorsService::Of(const char* name) const { return engine_.gate->MethodOf("Detectors", name); }

grpc::ServerUnaryReactor* DetectorsService::List(grpc::CallbackServerContext* context,
                                                 const v1::ListDetectorsRequest* request,
                                                 v1::ListDetectorsResponse* response) {
  return RunHere(engine_, Of("List"), context, [&](Call&) {
    for (const detector::RegisteredDetector& registered : engine_.detectors->List(request->name())) {
      *response->add_detectors() = ToProto(registered);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* DetectorsService::Get(grpc::CallbackServerContext* context,
                                                const v1::GetDetectorRequest* request, v1::Detector* response) {
  return RunInPool(engine_, Of("Get"), context, [=, this] { return GetOne(engine_, request->detector(), *response); });
}

grpc::ServerUnaryReactor* DetectorsService::Load(grpc::CallbackServerContext* context,
                                                 const v1::LoadDetectorRequest* request, v1::Detector* response) {
  return RunInPool(engine_, Of("Load"), context, [=, this] { return LoadOne(engine_, *request, *response); });
}

grpc::ServerUnaryReactor* DetectorsService::Activate(grpc::CallbackServerContext* context,
                                                     const v1::ActivateRequest* request, v1::Detector* response) {
  return RunInPool(engine_, Of("Activate"), context, [=, this] {
    return Switched(engine_, "detector activated", engine_.detectors->Activate(request->detector()), *response);
  });
}

grpc::ServerUnaryReactor* DetectorsService::RollBack(grpc::CallbackServerContext* context,
                                                     const v1::RollBackRequest* request, v1::Detector* response) {
  return RunInPool(engine_, Of("RollBack"), context, [=, this] {
    return Switched(engine_, "detector rolled back", engine_.detectors->RollBack(request->name()), *response);
  });
}

}  // namespace driftseal::serve
