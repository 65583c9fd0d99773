#ifndef DRIFTSEAL_CLIENT_CPP_SRC_CONVERT_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_CONVERT_H_

#include <string>

#include "driftseal/admin.h"
#include "driftseal/scoring.h"
#include "driftseal/v1/detectors.pb.h"
#include "driftseal/v1/integrity.pb.h"
#include "driftseal/v1/predictions.pb.h"
#include "driftseal/v1/scoring.pb.h"
#include "driftseal/v1/verdict.pb.h"

// Between the messages and the plain structs.
namespace driftseal::internal {

/// InvalidArgument for a number of values that is no whole number of rows.
Status CheckRows(const RowsView& rows);
/// `rows` stands for those of the request.
v1::ScoreRequest ToProto(const ScoreRequest& request, const RowsView& rows);
v1::VerifyRequest ToProto(const VerifyRequest& request);
v1::FitRequest ToProto(const FitRequest& request);
v1::BackfillRequest ToProto(const BackfillRequest& request);
v1::SanitizeRequest ToProto(const SanitizeRequest& request);

ScoreResult FromProto(v1::ScoreResponse&& response);
Verdict FromProto(const v1::Verdict& verdict);
Status FromProto(const v1::ItemError& error, const std::string& request_id);
Artifact FromProto(const v1::Artifact& artifact);
Detector FromProto(const v1::Detector& detector);
Operation FromProto(const v1::Operation& operation);
BackfillEntry FromProto(const v1::BackfillEntry& entry);
SanitizeResult FromProto(const v1::SanitizeResponse& response);
RetrainPlan FromProto(const v1::RetrainPlanResponse& response);

}  // namespace driftseal::internal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_CONVERT_H_
