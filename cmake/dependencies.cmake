# Every outside library is looked up here and nowhere else.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
find_package(libzip REQUIRED)
find_package(simdjson REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)

find_path(LIBSVM_INCLUDE svm.h PATH_SUFFIXES libsvm REQUIRED)
find_library(LIBSVM_LIBRARY svm REQUIRED)
add_library(libsvm::svm UNKNOWN IMPORTED)
set_target_properties(libsvm::svm PROPERTIES
  IMPORTED_LOCATION ${LIBSVM_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LIBSVM_INCLUDE})

if(DRIFTSEAL_TESTS)
  find_package(GTest REQUIRED)
endif()
if(DRIFTSEAL_TORCH)
  include(${CMAKE_CURRENT_LIST_DIR}/torch.cmake)
  pkg_check_modules(XGB REQUIRED IMPORTED_TARGET xgboost)
endif()
