"""Starts, stops, and services that are killed."""

import json
import os
import resource
import signal
import socket
import subprocess

import pytest
import requests
from conftest import BUILD, MODELS, Suite, eventually, golden, processes_of

CONVERSATION = golden("support-chat")["conversations"][0]


def chat(suite, **changes):
    body = {"model": "support-chat", "messages": CONVERSATION["messages"], "temperature": 0, "max_tokens": 80}
    return requests.post(f"{suite.url}/v1/chat/completions", json={**body, **changes}, timeout=60, stream=True)


def assert_serves(suite):
    response = chat(suite)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == CONVERSATION["answer"]


def test_killing_inference_ends_its_stream_with_an_error_and_the_next_request_succeeds(own_suite):
    # Several at once, so that one is surely in mid-stream when the process dies.
    streams = [chat(own_suite, temperature=2, max_tokens=1000, stream=True) for _ in range(4)]
    parts = [stream.iter_content(None) for stream in streams]
    heads = [next(part) for part in parts]
    former = own_suite.kill("inference")
    texts = []
    for head, part in zip(heads, parts):
        try:
            texts.append(b"".join([head, *part]))
        except requests.exceptions.ChunkedEncodingError:
            pytest.fail("the stream must end with an error event, not with a broken connection")
    broken = [text for text in texts if b"data: [DONE]" not in text]
    assert broken
    for text in broken:
        last = [line for line in text.decode().split("\n\n") if line.startswith("data: ")][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["message"]
    assert_serves(own_suite)
    own_suite.await_restart("inference", former)
    assert_serves(own_suite)


@pytest.mark.parametrize("service", ["data", "tokenizer", "training", "gateway"])
def test_a_killed_service_is_started_again_on_its_ports(own_suite, service):
    assert_serves(own_suite)
    ports = own_suite.ports(service)
    former = own_suite.kill(service)
    own_suite.await_restart(service, former)
    assert own_suite.ports(service) == ports
    assert_serves(own_suite)
    eventually(lambda: own_suite.llmos("status", check=False).returncode == 0, "all services to be ready")


def test_a_service_that_ends_by_itself_is_started_again(own_suite):
    former = own_suite.kill("tokenizer", by=signal.SIGTERM)
    own_suite.await_restart("tokenizer", former)
    assert_serves(own_suite)


def test_stopping_leaves_no_process_and_no_description(tmp_path):
    suite = Suite(tmp_path).start()
    assert len(processes_of(tmp_path)) == 6
    suite.stop()
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "run" / "suite.json").exists()
    assert suite.llmos("status", check=False).returncode != 0
    suite.stop()  # Twice does no harm.


def test_a_second_start_finds_what_the_first_imported(tmp_path):
    suite = Suite(tmp_path).start()
    suite.stop()
    suite.llmos("up", "--any-ports", "--detach")
    assert_serves(suite)
    assert "already runs" in suite.llmos("up", "--any-ports", "--detach").stdout
    suite.stop()


def test_services_do_not_outlive_a_supervisor_that_is_killed(tmp_path):
    suite = Suite(tmp_path).start()
    os.kill(suite.description["pid"], signal.SIGKILL)
    eventually(lambda: processes_of(tmp_path) == [], "the services to end")
    suite.start()
    assert_serves(suite)
    suite.stop()


def test_a_stream_in_flight_is_finished_before_the_suite_stops(tmp_path):
    suite = Suite(tmp_path).start()
    response = chat(suite, stream=True)
    parts = response.iter_content(None)
    head = next(parts)
    stopping = subprocess.Popen([BUILD / "llmos", "down", "--home", tmp_path], stdout=subprocess.PIPE)
    text = b"".join([head, *parts]).decode()
    assert stopping.wait(60) == 0
    assert text.rstrip().endswith("data: [DONE]")


def test_a_port_in_use_is_said_in_one_line_and_leaves_no_process(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        suite = Suite(tmp_path)
        result = suite.llmos(
            "up", "--any-ports", "--http-port", str(port), "--models", str(MODELS), check=False)
    assert result.returncode != 0
    assert str(port) in result.stderr and "in use" in result.stderr
    assert processes_of(tmp_path) == []


def test_a_service_without_descriptors_waits_for_one_and_says_so(tmp_path):
    ports, log = tmp_path / "ports.json", tmp_path / "log"
    command = [BUILD / "llmos-tokenizer", "--rpc.port", "0", "--admin.port", "0", "--ports.file", ports,
               "--registry.address", "127.0.0.1:1"]
    with log.open("w") as errors:
        service = subprocess.Popen(command, stderr=errors,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)))
    try:
        eventually(ports.exists, "the ports file")
        port = json.loads(ports.read_text())["rpc"]
        # The system holds those that the service cannot accept.
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(120)]
        eventually(lambda: "connections cannot be accepted" in log.read_text(), "the line in the log")
        for client in clients:
            client.close()
        # It takes those that waited, sees their end, and serves on.
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            assert client.recv(9)[3] == 4, "its SETTINGS"
        assert log.read_text().count("connections cannot be accepted") < 50
    finally:
        service.terminate()
        assert service.wait(60) == 0
