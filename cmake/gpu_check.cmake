# -DDRIFTSEAL_KERNELS_ONLY=ON: the CUDA module and the program that checks and times it on a GPU, with a C++ compiler,
# nvcc and CMake alone. The checks compare with the references, so no Highway is wanted; where it is found
# (CMAKE_PREFIX_PATH, see scripts/gpu-check), the SIMD kernels come along and the crossover from CPU to GPU is timed too.
find_package(Threads REQUIRED)
if(NOT DRIFTSEAL_HAVE_CUDA)
  message(FATAL_ERROR "make gpu-check needs nvcc: put it on the PATH, or set CUDA_HOME")
endif()
driftseal_cuda_module()

file(GLOB checks CONFIGURE_DEPENDS bench/kernels/parity/*.cpp bench/kernels/gpu_check*.cpp)
list(FILTER checks EXCLUDE REGEX "gpu_check_(no_)?simd.cpp$")
add_executable(driftseal-gpu-check ${checks})
target_include_directories(driftseal-gpu-check PRIVATE ${PROJECT_SOURCE_DIR}/bench/kernels)
target_link_libraries(driftseal-gpu-check PRIVATE Threads::Threads ${CMAKE_DL_LIBS} driftseal_flags)
set_target_properties(driftseal-gpu-check PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_package(hwy 1.0.3 CONFIG QUIET)
if(hwy_FOUND)
  message(STATUS "Highway: found, the SIMD kernels are built for the crossover")
  add_subdirectory(kernels)
  target_sources(driftseal-gpu-check PRIVATE bench/kernels/gpu_check_simd.cpp)
  target_link_libraries(driftseal-gpu-check PRIVATE driftseal_kernels_ensemble)
else()
  message(STATUS "Highway: not found, the SIMD kernels are left out and the crossover is not timed")
  file(GLOB references CONFIGURE_DEPENDS kernels/*/reference.cpp)
  target_sources(driftseal-gpu-check PRIVATE ${references}
    bench/kernels/gpu_check_no_simd.cpp kernels/forest/fit.cpp kernels/ensemble/cuda_view.cpp
    kernels/device/crossover.cpp kernels/device/cuda_module.cpp kernels/device/device.cpp)
  target_include_directories(driftseal-gpu-check PRIVATE ${PROJECT_SOURCE_DIR})
endif()
