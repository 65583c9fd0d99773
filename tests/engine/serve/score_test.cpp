#include <cmath>
#include <cstring>
#include <future>
#include <limits>
#include <thread>

#include "engine/serve/score_request.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/engine/serve/server_fixture.h"

namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;

class ScoreTest : public ::testing::Test {
 protected:
  TestServer server_;

  void Expect(const v1::ScoreRequest& request, grpc::StatusCode code, const std::string& says) {
    const Reply reply = server_.Score(request);
    EXPECT_EQ(reply.status.error_code(), code) << reply.status.error_message();
    EXPECT_THAT(reply.status.error_message(), HasSubstr(says));
  }
};

TEST_F(ScoreTest, GivesTheDetectorsScores) {
  const std::vector<float> rows = SomeRows(37);
  v1::ScoreRequest request = RequestOf(rows);
  request.set_family("a");
  request.set_detail(v1::DETAIL_DRIVERS);
  const Reply reply = server_.Score(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.response.detector(), "driftseal@1");
  ASSERT_EQ(reply.response.combined_size(), 37);
  ASSERT_EQ(reply.response.p_value_size(), 37);
  ASSERT_EQ(reply.response.details_size(), 37);
  ASSERT_EQ(reply.response.member_scores_size(), 37 * reply.response.members_size());
  for (int r = 0; r < 37; ++r) {
    const std::vector<double> row(rows.begin() + r * int{kCols}, rows.begin() + (r + 1) * int{kCols});
    const detector::Score expected = FittedDetector().ScoreRow(row, "a").value();
    EXPECT_NEAR(reply.response.combined(r), expected.combined, 1e-3);
    EXPECT_NEAR(reply.response.p_value(r), expected.p_value.value(), 2.1 / 61);  // Two ranks, for float32.
    ASSERT_EQ(reply.response.members_size(), static_cast<int>(expected.members.size()));
    for (int m = 0; m < reply.response.members_size(); ++m) {
      EXPECT_EQ(reply.response.members(m), expected.members[static_cast<size_t>(m)].member);
    }
    ASSERT_GT(reply.response.details(r).drivers_size(), 0);
    EXPECT_EQ(reply.response.details(r).drivers(0).feature()[0], 'f');
  }
}

TEST(AreManyRows, TellsLargeMessagesOfRowsFromOthers) {
  v1::ScoreRequest rows, fingerprints;
  rows.set_detector("driftseal");
  rows.mutable_rows()->set_float32_le(std::string(8000, 'x'));
  for (int i = 0; i < 1000; ++i) fingerprints.add_fingerprints("models/a.meta.json");
  EXPECT_TRUE(serve::AreManyRows(serve::Serialize(rows)));
  EXPECT_FALSE(serve::AreManyRows(serve::Serialize(fingerprints)));
  rows.mutable_rows()->set_float32_le(std::string(80, 'x'));
  EXPECT_FALSE(serve::AreManyRows(serve::Serialize(rows)));
  const std::string wrong(8000, '\xff');
  const grpc::Slice slice(wrong);
  EXPECT_FALSE(serve::AreManyRows(grpc::ByteBuffer(&slice, 1)));
}

TEST_F(ScoreTest, PackedAndUnpackedRowsGiveTheSame) {
  const std::vector<float> rows = SomeRows(3);
  const Reply packed = server_.Score(RequestOf(rows));
  v1::ScoreRequest request;
  request.mutable_rows()->set_cols(kCols);
  for (const float value : rows) request.mutable_rows()->add_values(value);
  const Reply unpacked = server_.Score(request);
  ASSERT_TRUE(packed.status.ok() && unpacked.status.ok());
  EXPECT_EQ(packed.response.SerializeAsString(), unpacked.response.SerializeAsString());
  EXPECT_EQ(packed.response.combined_size(), 3);
  EXPECT_EQ(packed.response.members_size(), 0);
}

TEST_F(ScoreTest, NoRowsHaveNoScores) {
  v1::ScoreRequest request;
  request.mutable_rows()->set_cols(kCols);
  const Reply reply = server_.Score(request);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.response.combined_size(), 0);
}

TEST_F(ScoreTest, MissingValuesAreScored) {
  std::vector<float> rows = SomeRows(2);
  rows[3] = std::numeric_limits<float>::quiet_NaN();
  v1::ScoreRequest request = RequestOf(rows);
  request.set_family("a");
  request.set_detail(v1::DETAIL_DRIVERS);
  const Reply reply = server_.Score(request);
  ASSERT_TRUE(reply.status.ok());
  EXPECT_TRUE(std::isfinite(reply.response.combined(0)));
  EXPECT_THAT(reply.response.details(0).remark(), HasSubstr("f3"));
  EXPECT_EQ(reply.response.details(1).remark(), "");
}

TEST_F(ScoreTest, MalformedRequestsNameTheField) {
  using grpc::StatusCode;
  const std::vector<float> rows = SomeRows(2);
  Expect({}, StatusCode::INVALID_ARGUMENT, "rows or fingerprints");
  v1::ScoreRequest request = RequestOf(rows);
  request.add_fingerprints("a.meta.json");
  Expect(request, StatusCode::INVALID_ARGUMENT, "found both");
  request = RequestOf(rows);
  request.mutable_rows()->set_cols(kCols + 1);
  Expect(request, StatusCode::INVALID_ARGUMENT, "rows.cols: expected 8");
  request.mutable_rows()->set_cols(0);
  Expect(request, StatusCode::INVALID_ARGUMENT, "rows.cols: expected 8");
  request = RequestOf(rows);
  request.mutable_rows()->mutable_float32_le()->pop_back();
  Expect(request, StatusCode::INVALID_ARGUMENT, "rows.float32_le: expected a multiple of 32 bytes");
  request = RequestOf(rows);
  request.mutable_rows()->add_values(1);
  Expect(request, StatusCode::INVALID_ARGUMENT, "found both");
  request.mutable_rows()->clear_float32_le();
  Expect(request, StatusCode::INVALID_ARGUMENT, "rows.values: expected a multiple of 8");
  std::vector<float> infinite = rows;
  infinite[kCols + 2] = -std::numeric_limits<float>::infinity();
  const Reply reply = server_.Score(RequestOf(infinite));
  EXPECT_EQ(reply.status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("rows: "));
  EXPECT_THAT(reply.status.error_message(), HasSubstr("row 2"));
  EXPECT_THAT(reply.status.error_message(), HasSubstr("f2"));
}

TEST_F(ScoreTest, UnknownNamesAreNotFound) {
  v1::ScoreRequest request = RequestOf(SomeRows(1));
  request.set_detector("nobody");
  Expect(request, grpc::StatusCode::NOT_FOUND, "detector: ");
  request.set_detector("driftseal@77");
  Expect(request, grpc::StatusCode::NOT_FOUND, "detector: ");
  request = RequestOf(SomeRows(1));
  request.set_detail(static_cast<v1::Detail>(17));
  Expect(request, grpc::StatusCode::INVALID_ARGUMENT, "detail: ");
  request = RequestOf(SomeRows(1));
  request.set_priority(static_cast<v1::Priority>(-3));
  Expect(request, grpc::StatusCode::INVALID_ARGUMENT, "priority: ");
}

TEST_F(ScoreTest, FingerprintsThatCannotBeReadAreNamed) {
  v1::ScoreRequest request;
  request.add_fingerprints("missing.meta.json");
  // The detector's rows are no fingerprints.
  Expect(request, grpc::StatusCode::FAILED_PRECONDITION, "");
  request.set_family("a");
  Expect(request, grpc::StatusCode::INVALID_ARGUMENT, "family: ");
  request.clear_family();
  for (int i = 0; i < 1025; ++i) request.add_fingerprints("x");
  Expect(request, grpc::StatusCode::INVALID_ARGUMENT, "fingerprints: expected at most 1024");
}

grpc::Status SendBytes(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                       const std::string& bytes) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1), response;
  std::promise<grpc::Status> ended;
  stub.UnaryCall(&context, method, {}, &request, &response,
                 [&](const grpc::Status& status) { ended.set_value(status); });
  return ended.get_future().get();
}

TEST_F(ScoreTest, BytesThatAreNoMessageAreRefused) {
  const grpc::Status status = SendBytes(server_.Connect(), "/driftseal.v1.Scoring/Score", "\xff\xff\xff not a message");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("ScoreRequest"));
  EXPECT_EQ(SendBytes(server_.Connect(), "/driftseal.v1.Scoring/Nothing", "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ScoreTest, MessagesBeyondTheLimitAreRefused) {
  v1::ScoreRequest request;
  request.mutable_rows()->set_cols(kCols);
  request.mutable_rows()->mutable_float32_le()->resize(server_.options().max_message_bytes);
  Expect(request, grpc::StatusCode::RESOURCE_EXHAUSTED, "larger than max");
  EXPECT_TRUE(server_.Score(RequestOf(SomeRows(1))).status.ok());
}

TEST_F(ScoreTest, CompressedMessagesAreRefusedUnopened) {
  // 15 MiB of zeros in 15 KiB.
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::ScoreRequest request;
  request.mutable_rows()->mutable_float32_le()->resize(15 << 20);
  v1::ScoreResponse response;
  const grpc::Status status = v1::Scoring::NewStub(server_.Connect())->Score(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
}

TEST_F(ScoreTest, TooManyRowsAreNoOverload) {
  TestServer small([] {
    serve::Options options = TestServer::DefaultOptions();
    options.queue_rows = 64;
    return options;
  }());
  const Reply reply = small.Score(RequestOf(SomeRows(65)));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("rows: "));
  EXPECT_EQ(reply.status.error_details(), "");
}

TEST_F(ScoreTest, ExpiredDeadlinesAreNotScored) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  v1::ScoreResponse response;
  const auto status = v1::Scoring::NewStub(server_.Connect())->Score(&context, RequestOf(SomeRows(1)), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ScoreTest, RequestIdsComeBack) {
  const Reply made = server_.Score(RequestOf(SomeRows(1)));
  ASSERT_EQ(made.trailers.count("x-request-id"), 1u);
  EXPECT_EQ(made.trailers.find("x-request-id")->second.size(), 16u);
  const Reply given = server_.Score({}, {{"x-request-id", "abc-42"}});
  ASSERT_EQ(given.trailers.count("x-request-id"), 1u);
  EXPECT_EQ(given.trailers.find("x-request-id")->second, "abc-42");
  const Reply insane = server_.Score({}, {{"x-request-id", std::string(129, 'x')}});
  ASSERT_EQ(insane.trailers.count("x-request-id"), 1u);
  EXPECT_EQ(insane.trailers.find("x-request-id")->second.size(), 16u);
}

TEST_F(ScoreTest, EveryCallIsCounted) {
  ASSERT_TRUE(server_.Score(RequestOf(SomeRows(5))).status.ok());
  ASSERT_FALSE(server_.Score({}).status.ok());
  // A call is counted when gRPC is done with it, which is after the caller has its answer.
  EXPECT_TRUE(Eventually([&] {
    return server_.Metric(R"(driftseal_requests_total{method="/driftseal.v1.Scoring/Score",code="OK"})") == 1 &&
           server_.Metric(
               R"(driftseal_requests_total{method="/driftseal.v1.Scoring/Score",code="INVALID_ARGUMENT"})") == 1;
  })) << server_.engine().metrics->Text();
  EXPECT_EQ(server_.Metric(R"(driftseal_rows_total{method="/driftseal.v1.Scoring/Score"})"), 5);
  EXPECT_EQ(server_.Metric("driftseal_requests_in_flight"), 0);
  EXPECT_EQ(server_.Metric("driftseal_open_connections"), 1);
  EXPECT_EQ(server_.Metric("driftseal_queue_rows_total"), 5);
  EXPECT_GT(server_.Metric("process_resident_memory_bytes"), 1e6);
}

}  // namespace
}  // namespace driftseal::testing
