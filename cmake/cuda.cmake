# The CUDA module builds where nvcc is found, and is left out with a line where it is not.
set(DRIFTSEAL_HAVE_CUDA OFF)
if(NOT DRIFTSEAL_CUDA)
  message(STATUS "CUDA: switched off (DRIFTSEAL_CUDA)")
  return()
endif()
find_program(DRIFTSEAL_NVCC nvcc HINTS /usr/local/cuda/bin ENV CUDA_HOME PATH_SUFFIXES bin)
if(DRIFTSEAL_NVCC AND NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${DRIFTSEAL_NVCC})
endif()
# CMake's own guess is an architecture that newer compilers no longer know, so it is set before the compiler is tried.
set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "GPU architectures: real code for sm_80 and sm_90, PTX for later ones")
include(CheckLanguage)
check_language(CUDA)
if(NOT DRIFTSEAL_NVCC OR NOT CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA: no nvcc that works was found, the CUDA module is left out")
  return()
endif()
enable_language(CUDA)
set(DRIFTSEAL_HAVE_CUDA ON)
message(STATUS "CUDA: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

# libdriftseal_cuda.so: every kernel's cuda.cu. A MODULE, loaded by dlopen, with the CUDA runtime inside, so that the rest
# of the program runs where there is no CUDA. It sees the folders of kernels/ and nothing above them.
function(driftseal_cuda_module)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*/*.cu)
  # The loop of the SVM's solver, which the processor's backend shares.
  add_library(driftseal_cuda MODULE ${sources} ${PROJECT_SOURCE_DIR}/kernels/svm/fit.cpp)
  foreach(folder autoencoder device ensemble forest mahalanobis neighbours svm tile)
    driftseal_stage(kernels/${folder} stage)
    target_include_directories(driftseal_cuda PRIVATE ${stage})
  endforeach()
  set(stage ${PROJECT_BINARY_DIR}/stage/driftseal_kernels)
  file(MAKE_DIRECTORY ${stage}/kernels)
  foreach(header rows.h random.h parallel.h)
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/kernels/${header} ${stage}/kernels/${header} SYMBOLIC)
  endforeach()
  target_include_directories(driftseal_cuda PRIVATE ${stage})
  target_link_libraries(driftseal_cuda PRIVATE Threads::Threads)
  # What dlopen would miss should fail here.
  target_link_options(driftseal_cuda PRIVATE -Wl,--no-undefined)
  # CMake 3.25 does not know C++20 for nvcc.
  target_compile_options(driftseal_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra,-Wshadow>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow>)
  set_target_properties(driftseal_cuda PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin CUDA_RUNTIME_LIBRARY Static CUDA_STANDARD_REQUIRED OFF
    CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden)
endfunction()
