"""The messages of proto/driftseal/v1, made from a descriptor set in a pool of their own.

In a pool of their own, so that a program may hold other generated code of the same files, or of another version of them.
"""
from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper


def _load() -> descriptor_pool.DescriptorPool:
    contract = importlib.resources.files(__name__) / "contract.binpb"
    if not contract.is_file():
        raise ImportError("driftseal._proto: contract.binpb is not there; in a source tree run "
                          "client/python/generate_protos.py")
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(contract.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


def publish(file: str, namespace: dict[str, Any]) -> None:
    """Puts the messages and enums of a file into the namespace of its module."""
    descriptor = _POOL.FindFileByName(file)
    for name, message in descriptor.message_types_by_name.items():
        namespace[name] = message_factory.GetMessageClass(message)
    for name, enum in descriptor.enum_types_by_name.items():
        namespace[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        for value in enum.values:
            namespace[value.name] = value.number
    namespace["DESCRIPTOR"] = descriptor
