#ifndef DRIFTSEAL_ENGINE_SERVE_REQUEST_ID_H_
#define DRIFTSEAL_ENGINE_SERVE_REQUEST_ID_H_

#include <string>
#include <string_view>

namespace driftseal::serve {

/// Whether a caller's own request id is taken over: 1 to 128 printable ASCII characters without blanks, quotes and
/// backslashes, so that it can disturb neither a log nor a header.
bool IsSaneRequestId(std::string_view id);

/// 16 hexadecimal digits, unique in this process and not to be guessed from another one's. From any thread.
std::string MakeRequestId();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REQUEST_ID_H_
