#ifndef DRIFTSEAL_ENGINE_SERVE_SUBJECTS_H_
#define DRIFTSEAL_ENGINE_SERVE_SUBJECTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/screen/subject.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

/// What there is to screen in folders and files beneath the artifact root, sorted by path, each once; "" is the root
/// itself. Reads folders and meta files: on a thread of the pool. Errors name `field`, or the file.
absl::StatusOr<std::vector<screen::Subject>> SubjectsOf(const Engine& engine, const char* field,
                                                        const std::vector<std::string>& paths,
                                                        const std::string& meta_glob);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SUBJECTS_H_
