#ifndef DRIFTSEAL_TESTS_SUPPORT_TORCH_ZIP_H_
#define DRIFTSEAL_TESTS_SUPPORT_TORCH_ZIP_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace driftseal::testing {

/// A zip archive of stored members, as torch.save lays them out.
std::string StoredZip(const std::vector<std::pair<std::string, std::string>>& members);

/// A torch archive whose pickle calls os.system(command) when it is loaded.
std::string HostileTorchArchive(std::string_view command);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_TORCH_ZIP_H_
