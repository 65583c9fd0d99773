#include "engine/serve/http_status.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

TEST(HttpStatus, FollowsGoogleRpcCode) {
  const std::pair<int, int> expected[] = {{0, 200},  {1, 499},  {2, 500},  {3, 400},  {4, 504},  {5, 404},
                                          {6, 409},  {7, 403},  {8, 429},  {9, 400},  {10, 409}, {11, 400},
                                          {12, 501}, {13, 500}, {14, 503}, {15, 500}, {16, 401}};
  for (const auto& [code, http] : expected) EXPECT_EQ(HttpStatusOf(static_cast<grpc::StatusCode>(code)), http) << code;
  EXPECT_EQ(HttpStatusOf(static_cast<grpc::StatusCode>(99)), 500);
  for (const auto& [code, http] : expected) EXPECT_NE(HttpReason(http), "Unknown") << http;
}

TEST(HttpStatus, MessagesAreValidJsonWhateverTheyHold) {
  const grpc::Status hostile(grpc::StatusCode::INTERNAL, std::string("\xff\"\r\n\0<", 6), "no protobuf \xff");
  const HttpReply reply = HttpErrorReply(hostile, "id");
  const auto json = nlohmann::json::parse(reply.body);
  EXPECT_EQ(json["error"]["status"], "INTERNAL");
  EXPECT_EQ(json["error"]["details"], nlohmann::json::array());
  EXPECT_EQ(std::count(reply.body.begin(), reply.body.end(), '\n'), 1);
}

TEST(HttpStatus, WhatGrpcHasNoCodeFor) {
  const HttpReply reply = HttpErrorReply(413, "too long", "");
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(nlohmann::json::parse(reply.body)["error"]["code"], 413);
  EXPECT_EQ(nlohmann::json::parse(reply.body)["error"]["status"], "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace driftseal::serve
