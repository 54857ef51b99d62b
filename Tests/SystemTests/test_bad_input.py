"""Wrong input gets a clear answer, and the suite keeps serving."""

import json
import socket

import pytest
import requests
from conftest import golden

CONVERSATION = golden("support-chat")["conversations"][0]
MESSAGES = CONVERSATION["messages"]


def chat(**changes):
    body = {"model": "support-chat", "messages": MESSAGES, "temperature": 0, **changes}
    return json.dumps(body).encode()


# name: (path, body, status, what the message or the parameter mentions)
CASES = {
    "no JSON": ("chat", b"{", 400, "JSON"),
    "an empty body": ("chat", b"", 400, "JSON"),
    "not an object": ("chat", b"[1]", 400, ""),
    "deep nesting": ("chat", b"[" * 100_000, 400, ""),
    "invalid UTF-8": ("chat", chat().replace(b"exchange", b"exch\xff\xfe"), 400, "UTF-8"),
    "a NUL": ("chat", chat(messages=[{"role": "user", "content": "a\0b"}]), 400, "NUL"),
    "an unknown model": ("chat", chat(model="nobody"), 404, "nobody"),
    "no model": ("chat", json.dumps({"messages": MESSAGES}).encode(), 400, "model"),
    "an entity model": ("chat", chat(model="ner-wikiann"), 400, "ner-wikiann"),
    "a prompt longer than the context": (
        "chat", chat(messages=[{"role": "user", "content": "word " * 3000}]), 400, "context"),
    "a negative temperature": ("chat", chat(temperature=-1), 400, "temperature"),
    "a temperature over 2": ("chat", chat(temperature=2.5), 400, "temperature"),
    "a temperature in quotes": ("chat", chat(temperature="0"), 400, "temperature"),
    "a temperature beyond numbers": ("chat", chat().replace(b'"temperature": 0', b'"temperature": 1e999'), 400, ""),
    "no messages": ("chat", chat(messages=[]), 400, "messages"),
    "an unknown role": ("chat", chat(messages=[{"role": "king", "content": "hello"}]), 400, "role"),
    "a message without content": ("chat", chat(messages=[{"role": "user"}]), 400, "content"),
    "top_p of 0": ("chat", chat(top_p=0), 400, "top_p"),
    "max_tokens of 0": ("chat", chat(max_tokens=0), 400, "max_tokens"),
    "two answers": ("chat", chat(n=2), 400, "n"),
    "too many stop texts": ("chat", chat(stop=["a"] * 17), 400, "stop"),
    "an empty stop text": ("chat", chat(stop=""), 400, "stop"),
    "an unknown field": ("chat", chat(temprature=1), 400, "temprature"),
    "20 MB": ("chat", chat(messages=[{"role": "user", "content": "x" * 20_000_000}]), 413, ""),
    "no inputs": ("ner", json.dumps({"model": "ner-wikiann"}).encode(), 400, "inputs"),
    "an unknown strategy": (
        "ner", json.dumps({"model": "ner-wikiann", "inputs": "a",
                           "parameters": {"aggregation_strategy": "best"}}).encode(), 400, "aggregation_strategy"),
    "a chat model": ("ner", json.dumps({"model": "support-chat", "inputs": "a"}).encode(), 400, "support-chat"),
    "a stride as wide as the window": (
        "ner", json.dumps({"model": "ner-wikiann", "inputs": "a",
                           "parameters": {"stride": 512}}).encode(), 400, "stride"),
    "a negative stride": (
        "ner", json.dumps({"model": "ner-wikiann", "inputs": "a", "parameters": {"stride": -1}}).encode(), 400,
        "stride"),
}
PATHS = {"chat": "/v1/chat/completions", "ner": "/v1/ner"}


def assert_serves(suite):
    answer = requests.post(f"{suite.url}{PATHS['chat']}", data=chat(max_tokens=80), timeout=60).json()
    assert answer["choices"][0]["message"]["content"] == CONVERSATION["answer"]


@pytest.mark.parametrize("what", CASES)
def test_wrong_input_gets_a_clear_answer(suite, what):
    path, body, status, mentions = CASES[what]
    response = requests.post(
        suite.url + PATHS[path], data=body, headers={"content-type": "application/json"}, timeout=60)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert mentions in f"{error['message']} {error['param']}"
    assert response.headers["x-request-id"]
    assert_serves(suite)


def test_unknown_paths_and_methods_are_named(suite):
    for method, path, status in [("GET", "/v1/nothing", 404), ("GET", "/v1/ner", 405), ("DELETE", "/v1/models", 405)]:
        response = requests.request(method, suite.url + path, timeout=10)
        assert response.status_code == status
        assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    "head",
    [b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/ner HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
     b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 200_000 + b"\r\n\r\n",
     b"POST /v1/ner HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n"],
    ids=["no HTTP", "a version of its own", "a negative length", "a header without end", "chunks of no size"],
)
def test_bytes_that_are_no_request_do_no_harm(suite, head):
    host, port = suite.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        except OSError:  # The gateway may cut such a connection at any point.
            answer = b""
    assert not answer or int(answer.split()[1]) in (400, 404, 413, 431, 505)
    assert_serves(suite)
