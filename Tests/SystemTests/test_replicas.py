"""Several inference processes behind one gateway: killed, replaced and scaled while requests run."""

import collections
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest
import requests
from conftest import BUILD, MODELS, Suite, eventually, golden, processes_of

MODEL = "support-chat"
CONVERSATIONS = golden(MODEL)["conversations"]
STREAMS = 24

Failure = collections.namedtuple("Failure", "status message streamed")


@pytest.fixture
def replicated(tmp_path):
    """A suite with three replicas of inference."""
    suite = Suite(tmp_path).start("--replicas", "inference=3")
    yield suite
    suite.stop()
    assert processes_of(tmp_path) == []


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


class Load:
    """Streams that ask one question after another, until told to stop."""

    def __init__(self, url):
        self.failures = []
        self.answers = [0] * STREAMS
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(url, number)) for number in range(STREAMS)]

    def work(self, url, number):
        for conversation in itertools.cycle(CONVERSATIONS[number:] + CONVERSATIONS[:number]):
            if self.is_over.is_set():
                return
            failure = ask(url, conversation)
            if failure:
                self.failures.append(failure)
            else:
                self.answers[number] += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads)

    def await_answers(self):
        """Waits until every stream has been answered twice again: once at least from beginning to end."""
        before = list(self.answers)
        eventually(lambda: all(now >= then + 2 for now, then in zip(self.answers, before)), "an answer to each stream",
                   seconds=120)

    def take_failures(self):
        failures, self.failures = self.failures, []
        return failures


def replicas(suite):
    return {name: row for name, row in suite.ps().items() if row["service"] == "inference"}


def addresses(suite):
    return (suite.home / "run" / "inference.addresses").read_text().split()


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


def test_no_request_fails_that_had_not_streamed_while_replicas_are_killed_replaced_and_scaled(replicated):
    suite = replicated
    first = replicas(suite)
    assert list(first) == ["inference-1", "inference-2", "inference-3"]
    with Load(suite.url) as load:
        load.await_answers()
        assert load.take_failures() == []
        for name in first:
            assert suite.metrics(name)["vllm:generation_tokens_total"] > 0

        # One is killed: only what it had begun to stream is lost.
        os.kill(first["inference-2"]["pid"], signal.SIGKILL)
        eventually(lambda: replicas(suite)["inference-2"]["restarts"] == 1, "the restart")
        eventually(lambda: replicas(suite)["inference-2"]["state"] == "ready", "the restarted replica")
        load.await_answers()
        for failure in load.take_failures():
            assert failure.status == 200 and failure.streamed and "retry" in failure.message, failure
        killed = replicas(suite)
        assert killed["inference-2"]["pid"] != first["inference-2"]["pid"]
        assert [killed[name]["pid"] for name in ("inference-1", "inference-3")] == [
            first[name]["pid"] for name in ("inference-1", "inference-3")]

        # All are replaced: they finish what they have begun.
        said = suite.llmos("drain", "inference").stdout
        assert re.findall(r"^(inference-\d) was replaced", said, re.MULTILINE) == list(first)
        load.await_answers()
        assert load.take_failures() == []
        fresh = replicas(suite)
        assert {row["state"] for row in fresh.values()} == {"ready"}
        assert not {row["pid"] for row in fresh.values()} & {row["pid"] for row in killed.values()}
        for row in fresh.values():
            assert_is_true(row)

        for count in (1, 3, 1):
            suite.llmos("scale", f"inference={count}")
            rows = replicas(suite)
            assert list(rows) == [f"inference-{number + 1}" for number in range(count)]
            assert {row["state"] for row in rows.values()} == {"ready"}
            assert sorted(addresses(suite)) == sorted(f"127.0.0.1:{row['rpc']}" for row in rows.values())
            load.await_answers()
            assert load.take_failures() == []
        assert replicas(suite)["inference-1"]["pid"] == fresh["inference-1"]["pid"]

        # The only one is replaced: another stands in for it.
        said = suite.llmos("drain", "inference").stdout
        assert "inference-2 is ready" in said and "inference-1 was replaced" in said
        load.await_answers()
        assert load.take_failures() == []
        eventually(lambda: list(replicas(suite)) == ["inference-1"], "the stand-in to end")
        assert replicas(suite)["inference-1"]["pid"] != fresh["inference-1"]["pid"]
    eventually(
        lambda: [row["requests_running"] for row in replicas(suite).values()] == [0], "the engine to be idle")


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


@pytest.mark.parametrize("state, word", [
    ('{"replicas": {"inference": 1000000}}', "from 1 to 64"),
    ('{"replaced": {"inference-1": 1000000}}', "run 1000000 of inference-1 is to be replaced"),
])
def test_a_bad_file_of_what_is_desired_is_told_of_and_ignored(own_suite, state, word):
    own_suite.llmos("scale", "inference=2")
    before = own_suite.ps()
    path = own_suite.home / "run" / "desired.json"
    path.write_text(state)
    os.kill(own_suite.description["pid"], signal.SIGUSR1)
    log = own_suite.home / "logs" / "supervisor.log"
    eventually(lambda: word in log.read_text(), "the supervisor's word")
    own_suite.llmos("scale", "inference=2")
    after = own_suite.ps()
    assert list(replicas(own_suite)) == ["inference-1", "inference-2"]
    assert {name: row["pid"] for name, row in after.items() if name in before} == {
        name: row["pid"] for name, row in before.items()}


@pytest.mark.parametrize("is_ignored", [True, False])
def test_a_closed_terminal_ends_a_suite_unless_it_was_started_to_outlive_it(tmp_path, is_ignored):
    suite = Suite(tmp_path)
    command = [BUILD / "llmos", "up", "--any-ports", "--models", str(MODELS), "--home", tmp_path]
    hang_up = signal.SIG_IGN if is_ignored else signal.SIG_DFL
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, hang_up)) as process:
        eventually((tmp_path / "run" / "suite.json").exists, "the suite to start", seconds=60)
        process.send_signal(signal.SIGHUP)
        if is_ignored:
            suite.llmos("scale", "inference=2")
            assert list(replicas(suite)) == ["inference-1", "inference-2"]
            suite.stop()
        assert process.wait(60) == 0
    assert processes_of(tmp_path) == []


def test_up_does_not_pretend_to_change_a_running_suite(suite):
    suite.llmos("up", "--detach", "--replicas", "inference=1")
    other = suite.llmos("up", "--detach", "--replicas", "inference=2", check=False)
    assert other.returncode != 0 and "llmos scale inference=2" in other.stderr
    twice = suite.llmos("up", "--replicas", "inference=1", "--replicas", "inference=2", check=False)
    assert twice.returncode != 0 and "more than once" in twice.stderr


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
