# Every outside library is looked up here and nowhere else.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
# Debian's libzip CMake package wants command line tools that its -dev package does not bring.
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET GLOBAL libzip)
find_package(ZLIB REQUIRED)
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
  pkg_check_modules(xgboost REQUIRED IMPORTED_TARGET GLOBAL xgboost)
  find_package(ZLIB REQUIRED)
endif()
