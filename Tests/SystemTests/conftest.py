"""The suite as its users meet it: started by `llmos up` on ports the system chooses, talked to from outside."""

import collections
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
import requests
from containers import BUILD, ROOT, engine  # noqa: F401

MODELS = ROOT / "deploy" / "models"


class Suite:
    """A running suite with its own home folder."""

    def __init__(self, home):
        self.home = pathlib.Path(home)

    def llmos(self, *arguments, check=True, stdin=None, timeout=120):
        """Runs the command line on this suite and returns its result."""
        command = [BUILD / "llmos", *arguments, "--home", self.home]
        result = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=timeout)
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}{self.logs()}"
        return result

    def start(self, *arguments):
        self.llmos("up", "--any-ports", "--models", str(MODELS), "--detach", *arguments)
        return self

    def stop(self):
        self.llmos("down")

    @property
    def description(self):
        return json.loads((self.home / "run" / "suite.json").read_text())

    @property
    def url(self):
        return self.description["gateway"]

    def ps(self):
        """The processes by name, as `llmos ps` tells of them."""
        return {row["name"]: row for row in json.loads(self.llmos("ps", "--format", "json").stdout)}

    def process(self, service):
        """What the supervisor says of a process, or of a service's first."""
        by_name = {process["name"]: process for process in self.description["processes"]}
        return by_name.get(service) or by_name[f"{service}-1"]

    def ports(self, service):
        return self.process(service)["ports"]

    def pid(self, service):
        return self.process(service)["pid"]

    def metrics(self, service):
        """The service's samples by name, those of all labels added up; 0 for what it does not show yet."""
        text = requests.get(f"http://127.0.0.1:{self.ports(service)['admin']}/metrics", timeout=10).text
        samples = collections.defaultdict(float)
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = name.split("{")[0]
                samples[name] += float(value)
        return samples

    def kill(self, service, by=signal.SIGKILL):
        """Kills a service and returns its former process id."""
        pid = self.pid(service)
        os.kill(pid, by)
        return pid

    def await_restart(self, service, former):
        def restarted():
            process = self.process(service)
            return process["state"] == "ready" and process["pid"] != former and ready(process["ports"]["admin"])

        eventually(restarted, f"{service} to start again")

    def logs(self):
        text = ""
        for log in sorted(self.home.glob("logs/*.log")):
            text += f"\n--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:])
        return text


def ready(admin_port):
    try:
        return requests.get(f"http://127.0.0.1:{admin_port}/readyz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def processes_of(home):
    """The processes whose command line names this home folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if str(home).encode() in file.read():
                        found.append(int(entry))
            except OSError:
                pass
    return [pid for pid in found if pid != os.getpid()]


def eventually(condition, what, seconds=30.0):
    """Waits until a condition holds: a bound for a hang, not a measure of speed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def golden(model):
    return json.loads((MODELS / model / "golden.json").read_text())


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """One suite for all tests that leave it as they find it."""
    suite = Suite(tmp_path_factory.mktemp("suite")).start()
    yield suite
    suite.stop()


@pytest.fixture
def own_suite(tmp_path):
    """A suite of a test's own, to be killed and restarted at will."""
    suite = Suite(tmp_path).start()
    yield suite
    suite.stop()


@pytest.fixture(scope="module")
def own_module_suite(tmp_path_factory):
    """A suite for the tests of one file, which register models in it."""
    suite = Suite(tmp_path_factory.mktemp("suite")).start()
    yield suite
    suite.stop()


@pytest.fixture(scope="session")
def client(suite):
    """The OpenAI client on the suite; it must not hide failures by retrying."""
    import openai

    return openai.OpenAI(base_url=f"{suite.url}/v1", api_key="none", max_retries=0, timeout=120)
