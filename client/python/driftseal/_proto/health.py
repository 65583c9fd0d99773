"""The two messages of the standard health service (grpc.health.v1.Health).

By hand: grpcio-health-checking has them too, as code that runs only with few versions of protobuf.
"""
from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STATUSES = ("unknown", "serving", "not_serving", "service_unknown")


def _make() -> tuple[Any, Any]:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="health.proto", package="grpc.health.v1", syntax="proto3")
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    response = file.message_type.add(name="HealthCheckResponse")
    # An enum there; on the wire both are a varint.
    response.field.add(name="status", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    find = pool.FindMessageTypeByName
    return (message_factory.GetMessageClass(find("grpc.health.v1.HealthCheckRequest")),
            message_factory.GetMessageClass(find("grpc.health.v1.HealthCheckResponse")))


HealthCheckRequest, HealthCheckResponse = _make()
