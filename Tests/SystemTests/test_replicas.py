"""Several inference processes behind one gateway."""

import collections
import json
import os
import shutil
import signal
import subprocess

import pytest
import requests
from conftest import BUILD, MODELS, Suite, eventually, golden, processes_of

MODEL = "support-chat"
CONVERSATIONS = golden(MODEL)["conversations"]

Failure = collections.namedtuple("Failure", "status message streamed")


def ask(url, conversation):
    """Streams an answer; returns None if it is the golden one, else how the request failed."""
    body = {"model": MODEL, "messages": conversation["messages"], "temperature": 0, "max_tokens": 80, "stream": True}
    text, is_whole = "", False
    try:
        with requests.post(f"{url}/v1/chat/completions", json=body, stream=True, timeout=60) as response:
            if response.status_code != 200:
                return Failure(response.status_code, response.text, "")
            for line in response.iter_lines():
                if not line.startswith(b"data: "):
                    continue
                if line == b"data: [DONE]":
                    is_whole = True
                    continue
                event = json.loads(line.removeprefix(b"data: "))
                if "error" in event:
                    return Failure(200, event["error"]["message"], text)
                text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    except requests.RequestException as error:
        return Failure(None, repr(error), text)
    if is_whole and text == conversation["answer"]:
        return None
    return Failure(200, "not the golden answer" if is_whole else "no end", text)


def replicas(suite):
    return {name: row for name, row in suite.ps().items() if row["service"] == "inference"}


def assert_is_true(row):
    """A row of `llmos ps` is what the system says of the process."""
    with open(f"/proc/{row['pid']}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    assert words[0].endswith(b"llmos-" + row["service"].encode())
    with open(words[words.index(b"--ports.file") + 1], "rb") as file:
        ports = json.load(file)
    assert (ports["pid"], ports["rpc"], ports["admin"]) == (row["pid"], row["rpc"], row["admin"])
    assert row["rss_bytes"] > 1 << 20 and row["uptime_seconds"] >= 0
    assert requests.get(f"http://127.0.0.1:{row['admin']}/readyz", timeout=10).status_code == 200


def test_ps_tells_of_every_process(suite):
    rows = suite.ps()
    assert list(rows) == ["data", "tokenizer", "inference-1", "training", "gateway"]
    for row in rows.values():
        assert row["state"] == "ready" and row["restarts"] == 0 and row["failure"] is None
        assert_is_true(row)
    assert rows["gateway"]["http"] == int(suite.url.rsplit(":", 1)[1])
    assert rows["inference-1"]["requests_running"] is not None and rows["data"]["requests_running"] is None
    lines = suite.llmos("ps").stdout.splitlines()
    assert lines[0].split() == "NAME STATE PID RPC ADMIN HTTP UPTIME RESTARTS RSS RUNNING WAITING".split()
    assert [line.split()[0] for line in lines[1:]] == list(rows)


@pytest.mark.parametrize(
    "asked, reason",
    [
        ("tokenizer=2", "tokenizer runs as one process"),
        ("inference=65", "from 1 to 64"),
        ("inference=0", "from 1 to 64"),
        ("engine=2", "no service is called 'engine'"),
        ("inference", "SERVICE=NUMBER"),
    ],
)
def test_what_cannot_be_replicated_is_refused_by_name(suite, asked, reason):
    for command in (["scale", asked], ["up", "--replicas", asked]):
        result = suite.llmos(*command, check=False)
        assert result.returncode != 0 and reason in result.stderr, result.stderr
    assert suite.llmos("drain", "inference-2", check=False).stderr.startswith("Error: no process")


def test_a_single_service_is_replaced_on_its_ports(own_suite):
    before = own_suite.ps()
    assert "tokenizer was replaced" in own_suite.llmos("drain", "tokenizer").stdout
    after = own_suite.ps()
    assert after["tokenizer"]["pid"] != before["tokenizer"]["pid"]
    assert after["tokenizer"]["rpc"] == before["tokenizer"]["rpc"]
    assert after["tokenizer"]["state"] == "ready" and after["tokenizer"]["restarts"] == 0
    assert {name: row["pid"] for name, row in after.items() if name != "tokenizer"} == {
        name: row["pid"] for name, row in before.items() if name != "tokenizer"}
    assert ask(own_suite.url, CONVERSATIONS[0]) is None


def test_a_bad_file_of_what_is_desired_is_told_of_and_ignored(own_suite):
    before = own_suite.ps()
    path = own_suite.home / "run" / "desired.json"
    path.write_text('{"replicas": {"inference": 1000000}}')
    os.kill(own_suite.description["pid"], signal.SIGHUP)
    log = own_suite.home / "logs" / "supervisor.log"
    eventually(lambda: "from 1 to 64" in log.read_text(), "the supervisor's word")
    own_suite.llmos("scale", "inference=2")
    after = own_suite.ps()
    assert list(replicas(own_suite)) == ["inference-1", "inference-2"]
    assert {name: row["pid"] for name, row in after.items() if name in before} == {
        name: row["pid"] for name, row in before.items()}


def test_a_replica_that_does_not_start_is_told_with_its_last_word_and_the_others_stay(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for executable in BUILD.glob("llmos*"):
        if executable.is_file() and os.access(executable, os.X_OK):
            try:
                os.link(executable, folder / executable.name)
            except OSError:
                shutil.copy(executable, folder / executable.name)
    home = tmp_path / "home"

    def llmos(*arguments):
        return subprocess.run([folder / "llmos", *arguments, "--home", home], capture_output=True, text=True, timeout=120)

    suite = Suite(home)
    try:
        started = llmos("up", "--any-ports", "--models", str(MODELS), "--detach")
        assert started.returncode == 0, started.stderr
        before = replicas(suite)
        (folder / "llmos-inference").unlink()
        (folder / "llmos-inference").write_text("#!/bin/sh\necho no room for another model >&2\nexit 3\n")
        (folder / "llmos-inference").chmod(0o755)
        result = llmos("scale", "inference=2")
        assert result.returncode != 0
        assert "inference-2" in result.stderr and "no room for another model" in result.stderr
        row = replicas(suite)["inference-2"]
        assert row["state"] in ("starting", "restarting") and "no room" in row["failure"]
        assert replicas(suite)["inference-1"]["pid"] == before["inference-1"]["pid"]
        assert llmos("status").returncode != 0
        assert ask(suite.url, CONVERSATIONS[0]) is None
        assert llmos("scale", "inference=1").returncode == 0
        assert list(replicas(suite)) == ["inference-1"]
        assert llmos("status").returncode == 0
    finally:
        suite.stop()
    assert processes_of(home) == []
