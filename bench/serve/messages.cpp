#include "bench/serve/messages.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bench/serve/fixture.h"
#include "google/protobuf/io/coded_stream.h"
#include "grpcpp/support/slice.h"

namespace driftseal::bench {
namespace {

constexpr uint8_t kIdTag = 1 << 3 | 0, kRequestTag = 2 << 3 | 2;  // Field number, wire type.

}  // namespace

std::vector<std::string> ScoreRequests(const RequestShape& shape, size_t count, uint64_t seed) {
  const std::vector<float> rows = MakeRows(shape.rows * count, seed);
  v1::ScoreRequest request;
  request.set_detector(shape.detector);
  request.set_detail(shape.detail);
  request.mutable_rows()->set_cols(kFeatures);
  std::vector<std::string> requests;
  for (size_t i = 0; i < count; ++i) {
    const size_t bytes = shape.rows * kFeatures * sizeof(float);
    request.mutable_rows()->set_float32_le(rows.data() + i * shape.rows * kFeatures, bytes);
    requests.push_back(request.SerializeAsString());
  }
  return requests;
}

size_t DistinctRequests(const RequestShape& shape) {
  constexpr size_t kRows = (8 << 20) / (kFeatures * sizeof(float));
  return std::clamp<size_t>(kRows / shape.rows, 16, 4096);
}

grpc::ByteBuffer Borrow(const std::string& bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size(), grpc::Slice::STATIC_SLICE);
  return {&slice, 1};
}

grpc::ByteBuffer StreamRequest(uint64_t id, const std::string& request) {
  using google::protobuf::io::CodedOutputStream;
  uint8_t head[32];
  uint8_t* at = head;
  *at++ = kIdTag;
  at = CodedOutputStream::WriteVarint64ToArray(id, at);
  *at++ = kRequestTag;
  at = CodedOutputStream::WriteVarint64ToArray(request.size(), at);
  const grpc::Slice slices[] = {grpc::Slice(head, static_cast<size_t>(at - head)),
                                grpc::Slice(request.data(), request.size(), grpc::Slice::STATIC_SLICE)};
  return {slices, 2};
}

bool Answers(const v1::ScoreResponse& response, const RequestShape& shape) {
  const auto number = [](double value) { return std::isfinite(value); };
  return static_cast<size_t>(response.combined_size()) == shape.rows &&
         response.p_value_size() == response.combined_size() &&
         std::all_of(response.combined().begin(), response.combined().end(), number);
}

}  // namespace driftseal::bench
