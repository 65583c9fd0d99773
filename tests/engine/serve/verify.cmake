driftseal_test(test_engine_serve_verify
  SOURCES detectors_test.cpp monitor_test.cpp operations_test.cpp predictions_test.cpp replay_test.cpp verify_fixture.cpp verify_stream_test.cpp verify_test.cpp
  LINK driftseal_engine_serve driftseal_tests_support nlohmann_json::nlohmann_json)
target_include_directories(test_engine_serve_verify PRIVATE ${PROJECT_SOURCE_DIR})
if(TARGET test_engine_serve_verify)
  # "literal" + std::string(...) warns falsely in GCC 12: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651
  target_compile_options(test_engine_serve_verify PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
endif()
