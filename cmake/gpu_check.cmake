# -DDRIFTSEAL_KERNELS_ONLY=ON: the CUDA module and the program that checks and times it on a GPU, with a C++ compiler,
# nvcc and CMake alone. What the checks compare with are the references, so no Highway is wanted; where it is found
# (CMAKE_PREFIX_PATH), the SIMD kernels come along and the crossover between CPU and GPU is measured too.
find_package(Threads REQUIRED)
if(NOT DRIFTSEAL_HAVE_CUDA)
  message(FATAL_ERROR "make gpu-check needs nvcc: put it on the PATH, or set CUDA_HOME")
endif()
driftseal_cuda_module()

file(GLOB parity CONFIGURE_DEPENDS bench/kernels/parity/*.cpp bench/kernels/gpu_check*.cpp)
file(GLOB references CONFIGURE_DEPENDS kernels/*/reference.cpp)
add_executable(driftseal-gpu-check ${parity} ${references}
  kernels/forest/fit.cpp kernels/ensemble/cuda_view.cpp
  kernels/device/crossover.cpp kernels/device/cuda_module.cpp kernels/device/device.cpp)
target_include_directories(driftseal-gpu-check PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/bench/kernels)
target_link_libraries(driftseal-gpu-check PRIVATE Threads::Threads ${CMAKE_DL_LIBS} driftseal_flags)
set_target_properties(driftseal-gpu-check PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
