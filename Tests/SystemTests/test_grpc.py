"""The services through stock grpcio, with stubs made from proto/."""

import importlib
import json
import sys

import grpc
import pytest
from conftest import MODELS, ROOT, eventually, golden

CONVERSATION = golden("support-chat")["conversations"][0]
SENTENCE = golden("ner-wikiann")[0]


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    from grpc_tools import protoc

    out = tmp_path_factory.mktemp("stubs")
    files = sorted((ROOT / "proto").rglob("*.proto"))
    command = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}", f"--grpc_python_out={out}"]
    assert protoc.main(command + [str(file) for file in files]) == 0
    # The stubs' packages must not hide grpcio's own `grpc` package.
    grpc.__path__.append(str(out / "grpc"))
    sys.path.insert(0, str(out))

    class Stubs:
        def __getattr__(self, service):
            name = f"llmos.{service}.v1.{service}_pb2"
            if service == "health":
                name = "grpc.health.v1.health_pb2"
            return importlib.import_module(name), importlib.import_module(name + "_grpc")

    return Stubs()


@pytest.fixture(scope="session")
def channels(suite):
    return {
        service: grpc.insecure_channel(f"127.0.0.1:{suite.ports(service)['rpc']}")
        for service in ["data", "tokenizer", "inference"]
    }


@pytest.fixture(scope="session")
def tokenizer(stubs, channels):
    messages, services = stubs.tokenizer
    return messages, services.TokenizerStub(channels["tokenizer"])


@pytest.fixture(scope="session")
def inference(stubs, channels):
    messages, services = stubs.inference
    return messages, services.InferenceStub(channels["inference"])


def long_generation(messages):
    return messages.GenerateRequest(
        model="support-chat", prompt_ids=CONVERSATION["ids"],
        sampling=messages.Sampling(temperature=2.0), max_tokens=1000,
    )


@pytest.mark.parametrize("service", ["data", "tokenizer", "inference"])
def test_health(stubs, channels, service):
    messages, services = stubs.health
    health = services.HealthStub(channels[service])
    assert health.Check(messages.HealthCheckRequest()).status == messages.HealthCheckResponse.SERVING
    watch = health.Watch(messages.HealthCheckRequest())
    assert next(watch).status == messages.HealthCheckResponse.SERVING
    watch.cancel()
    with pytest.raises(grpc.RpcError) as error:
        health.Check(messages.HealthCheckRequest(service="nobody"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_encode_decode_and_render(tokenizer):
    messages, stub = tokenizer
    answer = stub.Encode(messages.EncodeRequest(model="ner-wikiann", text=SENTENCE["text"]))
    window = answer.windows[0]
    assert list(window.ids) == SENTENCE["ids"]
    assert [list(offset) for offset in zip(window.starts, window.ends)] == SENTENCE["offsets"]
    rendered = stub.RenderChat(
        messages.RenderChatRequest(
            model="support-chat", messages=[messages.ChatMessage(**m) for m in CONVERSATION["messages"]]
        )
    )
    assert rendered.prompt == CONVERSATION["prompt"]
    assert list(rendered.ids) == CONVERSATION["ids"]
    decoded = stub.Decode(messages.DecodeRequest(model="support-chat", ids=CONVERSATION["generated"]))
    assert decoded.text == CONVERSATION["answer"]
    # The byte 0, which byte-level vocabularies write as this letter, does not fit into a message.
    vocabulary = json.loads((MODELS / "support-chat" / "tokenizer.json").read_text())["model"]["vocab"]
    assert stub.Decode(messages.DecodeRequest(model="support-chat", ids=[vocabulary["\u0100"]])).text == "\ufffd"


def test_generate(inference):
    messages, stub = inference
    events = list(
        stub.Generate(
            messages.GenerateRequest(
                model="support-chat", prompt_ids=CONVERSATION["ids"],
                sampling=messages.Sampling(temperature=0.0), max_tokens=80,
            )
        )
    )
    assert "".join(event.chunk.text for event in events[:-1]) == CONVERSATION["answer"]
    complete = events[-1].complete
    assert complete.finish_reason == messages.FINISH_REASON_STOP
    assert complete.prompt_tokens == len(CONVERSATION["ids"])
    assert complete.completion_tokens == len(CONVERSATION["generated"])


def test_classify_tokens(tokenizer, inference):
    tokenizer_messages, tokenizer_stub = tokenizer
    messages, stub = inference
    window = tokenizer_stub.Encode(
        tokenizer_messages.EncodeRequest(model="ner-wikiann", text=SENTENCE["text"])
    ).windows[0]
    request = messages.ClassifyTokensRequest(
        model="ner-wikiann", aggregation_strategy=messages.AGGREGATION_STRATEGY_SIMPLE, ignore_labels=["O"],
        texts=[
            messages.TokenizedText(
                text=SENTENCE["text"],
                windows=[messages.TokenWindow.FromString(window.SerializeToString())],
            )
        ],
    )
    found = stub.ClassifyTokens(request).texts[0].entities
    expected = SENTENCE["entities"]["simple"]
    assert [(e.label, e.word, e.start, e.end) for e in found] == [
        (e["entity_group"], e["word"], e["start"], e["end"]) for e in expected
    ]


def test_a_deadline_ends_a_stream_and_its_generation(suite, inference):
    messages, stub = inference
    with pytest.raises(grpc.RpcError) as error:
        for _ in range(100):  # One answer may end by itself before its deadline.
            list(stub.Generate(long_generation(messages), timeout=0.02))
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: suite.metrics("inference")["vllm:num_requests_running"] == 0, "the engine to be idle")


def test_cancelling_a_stream_frees_the_engine(suite, inference):
    messages, stub = inference
    streams = [stub.Generate(long_generation(messages)) for _ in range(4)]
    for stream in streams:
        next(stream)
    for stream in streams:
        stream.cancel()
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
        assert error.value.code() == grpc.StatusCode.CANCELLED
    eventually(lambda: suite.metrics("inference")["vllm:num_requests_running"] == 0, "the engine to be idle")


@pytest.mark.parametrize("path", ["/llmos.inference.v1.Inference/Nothing", "/nobody.Service/Method"])
def test_an_unknown_method_is_unimplemented(channels, path):
    with pytest.raises(grpc.RpcError) as error:
        channels["inference"].unary_unary(path)(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def nested(bytes_max):
    """A message in a message in a message, up to about `bytes_max` bytes: field 3 of each."""

    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out + bytes([value]))

    # From the inside out, built back to front so that it stays linear.
    parts, size = [], 0
    while size < bytes_max:
        header = b"\x1a" + varint(size)
        parts.append(header)
        size += len(header)
    return b"".join(reversed(parts))


HOSTILE = {
    "a megabyte of nested fields": nested(1 << 20),
    "a NUL in a string": b"\x0a\x03a\x00b",
    "bad UTF-8 in a string": b"\x0a\x02\xff\xfe",
    "a cut message": b"\x0a\x7f",
    "a group": b"\x0b\x0c",
    "a varint without an end": b"\x80" * 11,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_refused(tokenizer, channels, what):
    messages, stub = tokenizer
    for path in ["/llmos.tokenizer.v1.Tokenizer/Encode", "/llmos.tokenizer.v1.Tokenizer/RenderChat"]:
        with pytest.raises(grpc.RpcError) as error:
            channels["tokenizer"].unary_unary(path)(HOSTILE[what], timeout=10)
        # An unknown field's contents are nobody's: such a message may reach the handler, which refuses its emptiness.
        assert error.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.NOT_FOUND)
    assert stub.Encode(messages.EncodeRequest(model="support-chat", text="hello")).token_count > 0
