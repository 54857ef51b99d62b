"""Google's protobuf as the peer of our codec. Standard input:

  line 1: a FileDescriptorProto, in hexadecimal
  then, by mode,
    reencode: "NAME HEX": parses the message NAME and prints its own encoding, in hexadecimal
    compare:  "NAME HEX HEX": exits with 1 unless both encode the same message

"generate SEED COUNT" prints COUNT lines "NAME HEX" of random messages of every type of the file.
"""

import math
import random
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as F

RANGES = {
    F.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    F.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    F.CPPTYPE_UINT32: (0, 2**32 - 1),
    F.CPPTYPE_UINT64: (0, 2**64 - 1),
}
TEXTS = ["", "a", "Grüße", "日本語", "🙂 emoji", "x" * 300, "\u007f\u0080\u07ff\u0800\uffff"]
DEPTH_MAX = 3


def main():
    mode = sys.argv[1]
    lines = sys.stdin.read().split("\n")
    file = descriptor_pb2.FileDescriptorProto.FromString(bytes.fromhex(lines[0]))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    names = [f"{file.package}.{message.name}" for message in file.message_type]
    classes = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names
    }
    if mode == "generate":
        source = random.Random(int(sys.argv[2]))
        for index in range(int(sys.argv[3])):
            name = names[index % len(names)]
            message = classes[name]()
            fill(message, source, 0)
            print(name, message.SerializeToString(deterministic=True).hex() or "-")
        return
    for line in filter(None, lines[1:]):
        name, *encodings = line.split(" ")
        messages = [classes[name].FromString(unhex(encoding)) for encoding in encodings]
        if mode == "reencode":
            print(messages[0].SerializeToString(deterministic=True).hex() or "-")
        elif mode == "compare" and any(message != messages[0] for message in messages):
            sys.exit(f"{name} differs:\n{messages[0]}\n{messages[1]}")


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def fill(message, source, depth):
    for field in message.DESCRIPTOR.fields:
        is_message = field.cpp_type == F.CPPTYPE_MESSAGE
        if source.random() < 0.4 or (is_message and depth >= DEPTH_MAX):
            continue
        if is_message and field.message_type.GetOptions().map_entry:
            fill_map(getattr(message, field.name), field, source, depth)
        elif field.is_repeated:
            items = getattr(message, field.name)
            for _ in range(source.choice([0, 1, 2, 20])):
                if is_message:
                    fill(items.add(), source, depth + 1)
                else:
                    items.append(scalar(field, source))
        elif is_message:
            inner = getattr(message, field.name)
            inner.SetInParent()
            fill(inner, source, depth + 1)
        else:
            setattr(message, field.name, scalar(field, source))


def fill_map(entries, field, source, depth):
    key, value = field.message_type.fields
    for _ in range(source.choice([0, 1, 5])):
        name = scalar(key, source)
        if value.cpp_type == F.CPPTYPE_MESSAGE:
            fill(entries[name], source, depth + 1)
        else:
            entries[name] = scalar(value, source)


def scalar(field, source):
    kind = field.cpp_type
    if kind in RANGES:
        low, high = RANGES[kind]
        return source.choice([0, 1, 127, 128, low, high, source.randint(low, high)])
    if kind == F.CPPTYPE_BOOL:
        return source.random() < 0.5
    if kind == F.CPPTYPE_ENUM:
        return source.choice([value.number for value in field.enum_type.values] + [99])
    if kind == F.CPPTYPE_DOUBLE:
        return source.choice([0.0, 1.5, math.inf, -math.inf, source.gauss(0, 1e9)])
    if kind == F.CPPTYPE_FLOAT:
        return source.choice([0.0, -2.5, math.inf, struct.unpack("f", source.randbytes(2) + b"\1\2")[0]])
    if field.type == F.TYPE_BYTES:
        return source.randbytes(source.choice([0, 1, 200]))
    return source.choice(TEXTS)


main()
