# The HTTP gateway is a client of the engine's services and sees none of the engine's parts: a target of its own.
set(descriptors ${CMAKE_CURRENT_BINARY_DIR}/contract.binpb)
set(contract ${CMAKE_CURRENT_BINARY_DIR}/http_contract.cpp)
file(GLOB protos CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proto/driftseal/v1/*.proto)
add_custom_command(OUTPUT ${contract}
  COMMAND protobuf::protoc -I ${PROJECT_SOURCE_DIR}/proto --include_imports --include_source_info
    --descriptor_set_out=${descriptors} ${protos}
  COMMAND ${CMAKE_COMMAND} -DFILE=${descriptors} -DOUT=${contract} -DNAMESPACE=driftseal::serve
    -DFUNCTION=ContractDescriptors -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${protos} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)

driftseal_stage(engine/serve stage)
add_library(driftseal_engine_serve_http STATIC
  http_calls.cpp http_connection.cpp http_gateway.cpp http_json.cpp http_openapi.cpp http_openapi_pages.cpp
  http_openapi_schema.cpp http_reading.cpp http_request.cpp http_routes.cpp http_server.cpp http_status.cpp http_text.cpp
  http_tls.cpp ${contract})
target_include_directories(driftseal_engine_serve_http PUBLIC ${stage})
target_link_libraries(driftseal_engine_serve_http
  PUBLIC driftseal_engine_serve driftseal_proto
  PRIVATE driftseal_flags simdjson::simdjson nlohmann_json::nlohmann_json Boost::headers OpenSSL::SSL OpenSSL::Crypto
    Threads::Threads)

# docs/openapi.json is made by this; tests/engine/serve checks that it is up to date.
add_executable(openapi_json EXCLUDE_FROM_ALL http_openapi_main.cpp)
target_link_libraries(openapi_json PRIVATE driftseal_engine_serve_http driftseal_flags)
add_custom_target(openapi COMMAND openapi_json > ${PROJECT_SOURCE_DIR}/docs/openapi.json VERBATIM)
