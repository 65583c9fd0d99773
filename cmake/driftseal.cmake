# One target a folder. A target's headers are reached as "folder/file.h" through a staging tree of its own, so that a
# folder sees only the folders it links: a forbidden include does not compile.
#
#   driftseal_library(engine/artifact SOURCES a.cpp b.cpp PUBLIC absl::status PRIVATE OpenSSL::Crypto)
#
# makes the target driftseal_engine_artifact. PUBLIC is for what stands in the folder's own headers, PRIVATE for the rest.
function(driftseal_target_name folder out)
  string(REPLACE "/" "_" name "driftseal_${folder}")
  set(${out} ${name} PARENT_SCOPE)
endfunction()

function(driftseal_stage folder out)
  driftseal_target_name(${folder} name)
  set(stage ${PROJECT_BINARY_DIR}/stage/${name})
  get_filename_component(parent ${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${stage}/${parent})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${stage}/${folder} SYMBOLIC)
  set(${out} ${stage} PARENT_SCOPE)
endfunction()

function(driftseal_library folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  driftseal_target_name(${folder} name)
  driftseal_stage(${folder} stage)
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${stage})
    target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} driftseal_flags)
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${stage})
    target_link_libraries(${name} INTERFACE ${ARG_PUBLIC})
  endif()
endfunction()

# A program in build/bin.
function(driftseal_program program)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${program} ${ARG_SOURCES})
  target_link_libraries(${program} PRIVATE ${ARG_LINK} driftseal_flags)
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# A GoogleTest program, one ctest entry a test case.
function(driftseal_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(NOT DRIFTSEAL_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock_main driftseal_flags)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    DRIFTSEAL_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DRIFTSEAL_BINARY_DIR="${PROJECT_BINARY_DIR}")
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
endfunction()

# A fuzz target: libFuzzer where the preset asks for it (clang), otherwise a program that replays its corpus, which the
# tests run. `entry` defines LLVMFuzzerTestOneInput.
function(driftseal_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;CORPUS" ${ARGN})
  if(NOT DRIFTSEAL_TESTS)
    return()
  endif()
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LINK} driftseal_flags)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  if(DRIFTSEAL_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${corpus})
  endif()
endfunction()
