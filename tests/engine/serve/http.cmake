driftseal_test(test_engine_serve_http
  SOURCES certificates.cpp http_api_test.cpp http_engine_test.cpp http_fixture.cpp http_json_test.cpp http_openapi_test.cpp
    http_protocol_test.cpp http_raw_client.cpp http_routes_test.cpp http_status_test.cpp http_tls_test.cpp
  LINK driftseal_engine_serve_http driftseal_tests_support nlohmann_json::nlohmann_json OpenSSL::SSL OpenSSL::Crypto)
target_include_directories(test_engine_serve_http PRIVATE ${PROJECT_SOURCE_DIR})

# The committed OpenAPI file by a validator that is not ours.
set(DRIFTSEAL_PYTHON ${PROJECT_SOURCE_DIR}/build/venv/bin/python CACHE FILEPATH "Python of the tests")
if(EXISTS ${DRIFTSEAL_PYTHON})
  add_test(NAME openapi.valid COMMAND ${DRIFTSEAL_PYTHON} -m openapi_spec_validator --schema 3.1.0
    ${PROJECT_SOURCE_DIR}/docs/openapi.json)
endif()
