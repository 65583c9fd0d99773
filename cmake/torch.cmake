# LibTorch without its own CMake package, which fails where torch was built for CUDA and no CUDA toolkit is installed.
# DRIFTSEAL_TORCH_DIR is the folder that holds include/ and lib/ (the `torch` folder of a Python installation, or /usr
# with Debian's libtorch-dev). scripts/setup finds or installs one and writes it to build/torch-dir.
set(DRIFTSEAL_TORCH_DIR "" CACHE PATH "Folder of torch: include/ and lib/")
set(torch_dir ${DRIFTSEAL_TORCH_DIR})
if(NOT torch_dir AND EXISTS ${PROJECT_SOURCE_DIR}/build/torch-dir)
  file(STRINGS ${PROJECT_SOURCE_DIR}/build/torch-dir torch_dir LIMIT_COUNT 1)
endif()
find_path(TORCH_INCLUDE torch/script.h PATHS ${torch_dir}/include NO_DEFAULT_PATH)
find_path(TORCH_INCLUDE torch/script.h)
get_filename_component(torch_root ${TORCH_INCLUDE} DIRECTORY)
foreach(lib torch_cpu c10)
  find_library(TORCH_${lib} ${lib} PATHS ${torch_root}/lib NO_DEFAULT_PATH)
  find_library(TORCH_${lib} ${lib})
endforeach()
if(NOT TORCH_INCLUDE OR NOT TORCH_torch_cpu OR NOT TORCH_c10)
  message(FATAL_ERROR "LibTorch was not found. Run scripts/setup, or pass -DDRIFTSEAL_TORCH_DIR=<folder with include/ and lib/>.")
endif()
get_filename_component(torch_lib ${TORCH_torch_cpu} DIRECTORY)
message(STATUS "LibTorch: ${torch_lib}")
# The CUDA build of the wheel wants libraries of the nvidia packages beside it, also on a machine without a GPU.
file(GLOB torch_nvidia_lib ${torch_root}/../nvidia/*/lib)
add_library(driftseal_torch INTERFACE)
target_include_directories(driftseal_torch SYSTEM INTERFACE
  ${TORCH_INCLUDE} ${TORCH_INCLUDE}/torch/csrc/api/include)
target_link_libraries(driftseal_torch INTERFACE ${TORCH_torch_cpu} ${TORCH_c10} Threads::Threads)
# LibTorch's own headers warn.
target_compile_options(driftseal_torch INTERFACE -Wno-unused-parameter -Wno-shadow -Wno-pedantic)
set(rpath_dirs ${torch_lib} ${torch_nvidia_lib})
foreach(dir ${rpath_dirs})
  target_link_options(driftseal_torch INTERFACE -Wl,-rpath,${dir} -Wl,-rpath-link,${dir})
endforeach()
