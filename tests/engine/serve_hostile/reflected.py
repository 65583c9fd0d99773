"""Calls built from nothing but what the engine's reflection service tells, as grpcurl does."""

import queue

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2

METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Api:
    """The services of an engine and their messages."""

    def __init__(self, channel):
        self.channel = channel
        self.services = [service.name for service in self._ask(list_services="").list_services_response.service]
        self.pool, self.files = descriptor_pool.DescriptorPool(), {}
        for service in self.services:
            self._learn(self._ask(file_containing_symbol=service).file_descriptor_response)

    def _ask(self, **question):
        requests = queue.SimpleQueue()
        requests.put(reflection_pb2.ServerReflectionRequest(**question))
        call = self.channel.stream_stream(
            METHOD,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter(requests.get, None), timeout=30)
        answer = next(call)
        requests.put(None)
        if answer.HasField("error_response"):
            raise LookupError(answer.error_response.error_message)
        return answer

    def _learn(self, response):
        """Adds files, those first that others import."""
        waiting = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in response.file_descriptor_proto]
        for file in waiting:
            self._add(file, {other.name: other for other in waiting})

    def _add(self, file, known):
        if file.name in self.files:
            return
        self.files[file.name] = file
        for name in file.dependency:
            if name in known:
                self._add(known[name], known)
            elif name not in self.files:
                self._learn(self._ask(file_by_filename=name).file_descriptor_response)
        self.pool.Add(file)

    def message(self, kind, /, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(kind))(**fields)

    def from_json(self, name, text):
        return json_format.Parse(text, self.message(name), descriptor_pool=self.pool)

    def method(self, service, name):
        return self.pool.FindServiceByName(service).methods_by_name[name]

    def methods(self):
        """(service, method) of all that the contract has."""
        return [
            (service, method.name)
            for service in self.services
            if service.startswith("driftseal.")
            for method in self.pool.FindServiceByName(service).methods
        ]

    def multicallable(self, service, name, channel=None):
        method = self.method(service, name)
        answer = message_factory.GetMessageClass(method.output_type)
        kind = {
            (False, False): "unary_unary",
            (False, True): "unary_stream",
            (True, False): "stream_unary",
            (True, True): "stream_stream",
        }[method.client_streaming, method.server_streaming]
        return getattr(channel or self.channel, kind)(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    def call(self, service, name, request, channel=None, **options):
        return self.multicallable(service, name, channel)(request, **options)
