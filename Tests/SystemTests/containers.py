"""The container images, built once for all tests that run containers."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LLMOS_BUILD", ROOT / ".build" / "release"))
SERVICES = ["data", "tokenizer", "inference", "training", "gateway"]
# Of what these tests make, so that only that is removed.
NAME = f"llmos-test-{os.getpid()}"


def run(*command, check=True, **options):
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, **options)
    assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result


class Engine:
    """podman or docker, as deploy/images/engine.sh sets it up on this machine."""

    def __init__(self):
        script = 'source deploy/images/engine.sh; choose_engine; echo "$engine"; env | grep ^CONTAINERS_CONF || true'
        result = run("bash", "-euc", script, check=False)
        if result.returncode != 0:
            pytest.skip(result.stderr.strip())
        self.tool, *configuration = result.stdout.splitlines()
        self.environment = {**os.environ, **dict(line.split("=", 1) for line in configuration)}

    def __call__(self, *arguments, check=True):
        return run(self.tool, *arguments, check=check, env=self.environment)

    def inspect(self, kind, name):
        return json.loads(self(kind, "inspect", name).stdout)[0]


def image(service):
    return f"localhost/llmos-{service}:{NAME}"


@pytest.fixture(scope="session")
def engine():
    """A container tool that can start containers here, with the images built."""
    if "libswiftCore" in run("ldd", BUILD / "llmos-data").stdout:
        pytest.skip("the executables lack the Swift runtime; deploy/build.sh links it into them")
    engine = Engine()
    try:
        built = run("deploy/images/build.sh", "--tool", engine.tool, "--tag", NAME, "--executables", BUILD, *SERVICES)
        print("\n" + built.stdout)
        probe = engine("run", "--rm", image("data"), "--version", check=False)
        # 125 and 126 are the tool's own: it could not start anything.
        if probe.returncode in (125, 126):
            pytest.skip(f"containers cannot run here: {probe.stderr.strip().splitlines()[-1]}")
        assert probe.stdout.startswith("llmos-data "), probe.stderr
        yield engine
    finally:
        engine("rmi", *[image(service) for service in SERVICES], check=False)
