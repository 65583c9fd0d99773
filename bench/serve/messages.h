#ifndef DRIFTSEAL_BENCH_SERVE_MESSAGES_H_
#define DRIFTSEAL_BENCH_SERVE_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "driftseal/v1/scoring.pb.h"
#include "grpcpp/support/byte_buffer.h"

// Requests made before the clock starts: the generator sends bytes that are there, so that it costs as little as can
// be.
namespace driftseal::bench {

inline constexpr char kScore[] = "/driftseal.v1.Scoring/Score";
inline constexpr char kScoreStream[] = "/driftseal.v1.Scoring/ScoreStream";
inline constexpr char kVerifyStream[] = "/driftseal.v1.Scoring/VerifyStream";

struct RequestShape {
  std::string detector;  ///< "" means the engine's default.
  size_t rows = 1;
  v1::Detail detail = v1::DETAIL_SCORES;
};

/// Requests of different rows each: `count` of them, row r of request i being row i * shape.rows + r of MakeRows.
std::vector<std::string> ScoreRequests(const RequestShape& shape, size_t count, uint64_t seed);
/// How many different requests of this shape there should be: 8 MB of rows, and at least 16.
size_t DistinctRequests(const RequestShape& shape);
/// Without copying: `bytes` must outlive what is made of it.
grpc::ByteBuffer Borrow(const std::string& bytes);
/// ScoreStreamRequest{id, request}, where `request` is serialized already and must outlive the buffer.
grpc::ByteBuffer StreamRequest(uint64_t id, const std::string& request);
/// Whether the response answers a request of this shape with numbers.
bool Answers(const v1::ScoreResponse& response, const RequestShape& shape);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_MESSAGES_H_
