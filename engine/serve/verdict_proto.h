#ifndef DRIFTSEAL_ENGINE_SERVE_VERDICT_PROTO_H_
#define DRIFTSEAL_ENGINE_SERVE_VERDICT_PROTO_H_

#include <string>
#include <string_view>

#include "driftseal/v1/verdict.pb.h"
#include "engine/screen/screen.h"

namespace driftseal::serve {

/// `text` with bytes that are not UTF-8 as U+FFFD: what a proto string can hold.
std::string Utf8(std::string_view text);

/// What screening came to, on the wire. `detector` is its name@version, or empty. With `entry` also the entry of a
/// report, byte for byte as the command line writes it.
v1::Verdict ToProto(const screen::Result& result, const std::string& detector, bool entry);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_VERDICT_PROTO_H_
