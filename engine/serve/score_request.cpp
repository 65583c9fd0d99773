#include "engine/serve/score_request.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <chrono>
#include <string>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/serve/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"

static_assert(std::endian::native == std::endian::little, "rows are taken from messages as they are");

namespace driftseal::serve {
namespace {

using artifact::Cat;

void Append(const std::vector<double>& values, google::protobuf::RepeatedField<double>* field) {
  field->Add(values.begin(), values.end());
}

absl::StatusOr<kernels::RowsView<float>> RowsOf(const v1::Rows& rows, size_t cols) {
  if (rows.cols() != cols) {
    return absl::InvalidArgumentError(
        Cat("rows.cols: expected ", cols, ", the detector's columns; found ", rows.cols()));
  }
  const std::string& bytes = rows.float32_le();
  if (!bytes.empty() && !rows.values().empty()) {
    return absl::InvalidArgumentError("rows: expected float32_le or values, found both");
  }
  if (bytes.empty()) {
    const auto count = static_cast<size_t>(rows.values().size());
    if (count % cols == 0) return kernels::RowsView<float>{rows.values().data(), count / cols, cols};
    return absl::InvalidArgumentError(Cat("rows.values: expected a multiple of ", cols, " values, found ", count));
  }
  if (bytes.size() % (cols * sizeof(float)) != 0) {
    return absl::InvalidArgumentError(Cat("rows.float32_le: expected a multiple of ", cols * sizeof(float), " bytes (",
                                          cols, " columns of float32), found ", bytes.size()));
  }
  // A string's bytes are on the heap, where everything is aligned, or, in a short one, behind its pointer and size.
  const void* data = bytes.data();
  assert(reinterpret_cast<uintptr_t>(data) % alignof(float) == 0);
  return kernels::RowsView<float>{static_cast<const float*>(data), bytes.size() / (cols * sizeof(float)), cols};
}

// The family that is meant where none is named: the only one there is, or none in particular (the global one). Kept for
// the detector that this thread had last; a weak pointer is not mistaken for another detector at the same address.
const std::string& OnlyFamily(const std::shared_ptr<const detector::Detector>& detector) {
  thread_local std::weak_ptr<const detector::Detector> last;
  thread_local std::string family;
  if (last.owner_before(detector) || detector.owner_before(last)) {
    const auto families = detector->families();
    family = families.size() == 1 ? families.front().key : "";
    last = detector;
  }
  return family;
}

constexpr size_t kManyBytes = 4096;

}  // namespace

bool AreManyRows(const grpc::ByteBuffer& bytes) {
  using google::protobuf::internal::WireFormatLite;
  if (bytes.Length() < kManyBytes) return false;
  grpc::ByteBuffer pieces(bytes);
  grpc::ProtoBufferReader reader(&pieces);
  if (!reader.status().ok()) return false;
  google::protobuf::io::CodedInputStream in(&reader);
  while (const uint32_t tag = in.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field == v1::ScoreRequest::kRowsFieldNumber) return true;
    // Fingerprints do not wait where rows do.
    if (field == v1::ScoreRequest::kFingerprintsFieldNumber || !WireFormatLite::SkipField(&in, tag)) return false;
  }
  return false;
}

absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message) {
  grpc::Slice slice;
  bool parsed = false;
  // gRPC hands small messages over in one piece, which needs no stream.
  if (bytes.TrySingleSlice(&slice).ok()) {
    parsed = message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
  } else {
    grpc::ByteBuffer pieces(bytes);  // The reader wants one that it may take apart; copying counts references.
    grpc::ProtoBufferReader reader(&pieces);
    parsed = reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
  }
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat("the message is no ", message.GetTypeName()));
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

absl::StatusOr<detector::Detail> DetailOf(const v1::ScoreRequest& request) {
  switch (request.detail()) {
    case v1::DETAIL_UNSPECIFIED:
    case v1::DETAIL_SCORES:
      return detector::Detail::kScores;
    case v1::DETAIL_MEMBERS:
      return detector::Detail::kMembers;
    case v1::DETAIL_DRIVERS:
      return detector::Detail::kDrivers;
    default:
      return absl::InvalidArgumentError(Cat("detail: there is no ", static_cast<int>(request.detail())));
  }
}

absl::StatusOr<batch::Priority> PriorityOf(v1::Priority priority) {
  switch (priority) {
    case v1::PRIORITY_LOW:
      return batch::Priority::kLow;
    case v1::PRIORITY_UNSPECIFIED:
    case v1::PRIORITY_NORMAL:
      return batch::Priority::kNormal;
    case v1::PRIORITY_HIGH:
      return batch::Priority::kHigh;
    default:
      return absl::InvalidArgumentError(Cat("priority: there is no ", static_cast<int>(priority)));
  }
}

absl::Status FillJob(const Engine& engine, const v1::ScoreRequest& request, batch::Job& job) {
  if (!request.has_rows()) return absl::InvalidArgumentError("expected rows or fingerprints, found neither");
  if (request.fingerprints_size() > 0) return absl::InvalidArgumentError("expected rows or fingerprints, found both");
  const absl::StatusOr<detector::Detail> detail = DetailOf(request);
  if (!detail.ok()) return detail.status();
  const absl::StatusOr<batch::Priority> priority = PriorityOf(request.priority());
  if (!priority.ok()) return priority.status();
  auto detector = engine.detectors->Get(request.detector());
  if (!detector.ok()) {
    return absl::Status(detector.status().code(), Cat("detector: ", detector.status().message()));
  }
  const absl::StatusOr<kernels::RowsView<float>> rows = RowsOf(request.rows(), (*detector)->schema().features.size());
  if (!rows.ok()) return rows.status();
  job.detector = *std::move(detector);
  job.item.family = request.family().empty() ? OnlyFamily(job.detector) : request.family();
  job.item.rows = *rows;
  job.item.detail = *detail;
  job.priority = *priority;
  return absl::OkStatus();
}

void FillResponse(const batch::Job& job, v1::ScoreResponse& response) {
  const detector::BatchScores& scores = job.item.scores;
  const detector::Detector& detector = *job.detector;
  std::string* name = response.mutable_detector();
  name->assign(detector.name());
  name->push_back('@');
  name->append(std::to_string(detector.version()));
  Append(scores.combined, response.mutable_combined());
  Append(scores.p_value, response.mutable_p_value());
  if (job.item.detail == detector::Detail::kScores) return;
  for (std::string& member : detector::MembersOf(job.item)) response.add_members(std::move(member));
  Append(scores.members, response.mutable_member_scores());
  if (job.item.detail == detector::Detail::kMembers) return;
  const std::vector<std::string>& features = detector.schema().features;
  for (size_t row = 0; row < scores.drivers.size(); ++row) {
    v1::RowDetail* detail = response.add_details();
    detail->set_remark(scores.remarks[row]);
    for (const detector::Driver& driver : scores.drivers[row]) FillDriver(driver, features, *detail->add_drivers());
  }
}

void FillDriver(const detector::Driver& driver, const std::vector<std::string>& features, v1::Driver& out) {
  out.set_feature(features[driver.feature]);
  out.set_value(driver.value);
  out.set_median(driver.median);
  out.set_robust_z(driver.robust_z);
  out.set_share(driver.share);
}

absl::Status Refusal(const absl::Status& status, const batch::Load& load) {
  // What the batcher says about a job is about one field of the request.
  const char* field = absl::IsInvalidArgument(status) ? "rows: " : absl::IsNotFound(status) ? "family: " : nullptr;
  if (field != nullptr) return absl::Status(status.code(), Cat(field, status.message()));
  if (absl::IsUnavailable(status)) return DrainingStatus();
  if (load.full == batch::Load::Full::kNo || !absl::IsResourceExhausted(status)) return status;
  const auto resource =
      load.full == batch::Load::Full::kQueue ? v1::Overload::RESOURCE_QUEUE : v1::Overload::RESOURCE_CLIENT_QUEUE;
  constexpr std::chrono::microseconds kLeast(1000);
  return WithOverload(status, resource, load.rows, load.limit, std::max(load.wait, kLeast));
}

}  // namespace driftseal::serve
