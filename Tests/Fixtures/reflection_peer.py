"""Asks a server for its services by reflection, with grpcio-reflection, and calls one of them.

Usage: reflection_peer.py PORT
Prints the names of the services, then the name and path of each method, then what the health check
answers, whose messages are made from what the server told.
"""
import sys

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Version1:
    """A stub of grpc.reflection.v1, whose messages are those of v1alpha."""

    def __init__(self, channel):
        self.ServerReflectionInfo = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )


channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
database = ProtoReflectionDescriptorDatabase(channel)
database._stub = Version1(channel)
pool = DescriptorPool(database)

for name in database.get_services():
    print("service", name)
    for method in pool.FindServiceByName(name).methods:
        print("method", method.full_name, method.input_type.full_name, method.output_type.full_name)

check = pool.FindMethodByName("grpc.health.v1.Health.Check")
request = message_factory.GetMessageClass(check.input_type)
response = message_factory.GetMessageClass(check.output_type)
call = channel.unary_unary(
    "/grpc.health.v1.Health/Check",
    request_serializer=request.SerializeToString,
    response_deserializer=response.FromString,
)
print("health", response.DESCRIPTOR.enum_types[0].values_by_number[call(request(service="x")).status].name)
try:
    pool.FindMessageTypeByName("absent.v1.Message")
except KeyError:
    print("absent")
