"""The container images: what is in them, and the suite run from them as containers on a network of its own."""

import datetime
import json
import pathlib
import re
import subprocess
import tarfile
import threading

import pytest
import requests
from containers import NAME, ROOT, SERVICES, image, run
from conftest import golden
from test_ner import assert_same

BYTES_MAX = 120_000_000
READY_SECONDS_AIM = 0.5
# A start on a busy machine may be late; the best of some shows what the image needs.
STARTS = 3
CONVERSATION = golden("support-chat")["conversations"][0]
SENTENCE = golden("ner-wikiann")[0]


def up(engine, *arguments):
    return run("deploy/images/up.sh", "--tool", engine.tool, "--tag", NAME, "--project", NAME, *arguments)


class Containers:
    def __init__(self, engine, url):
        self.engine, self.url = engine, url

    def inspect(self, name):
        return self.engine.inspect("container", f"{NAME}-{name}")

    def seconds_to_ready(self, name):
        """From the start of the container's process to the service's own word, in its log, that it is ready."""
        log = self.engine("logs", f"{NAME}-{name}")
        lines = [json.loads(line) for line in (log.stdout + log.stderr).splitlines() if line.startswith("{")]
        ready = [line["time"] for line in lines if line["msg"] == "ready"][-1]
        started = self.inspect(name)["State"]["StartedAt"]
        return (datetime.datetime.fromisoformat(ready) - datetime.datetime.fromisoformat(started)).total_seconds()

    def ask(self, path, body, **options):
        response = requests.post(f"{self.url}{path}", json=body, timeout=60, **options)
        assert response.status_code == 200, response.text
        return response


NAMES = ["data", "tokenizer", "inference-1", "inference-2", "training", "gateway"]


@pytest.fixture(scope="module")
def containers(engine):
    try:
        last = up(engine, "--port", "0").stdout.splitlines()[-1]
        yield Containers(engine, last.rpartition(" ")[2])
    finally:
        up(engine, "--stop", "--remove-data")


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_small_and_says_what_it_is(engine, service):
    found = engine.inspect("image", image(service))
    configuration = found["Config"]
    assert found["Size"] < BYTES_MAX
    assert configuration["User"] == "10001:10001"
    assert configuration["StopSignal"] == "SIGTERM"
    assert configuration["Entrypoint"] == [f"/usr/bin/llmos-{service}"]
    check = configuration.get("Healthcheck") or found["Healthcheck"]
    assert check["Test"] == ["CMD", f"/usr/bin/llmos-{service}", "--healthcheck"]
    assert len(configuration["ExposedPorts"]) == (3 if service == "gateway" else 2)
    labels = {key.rpartition(".")[2]: value for key, value in configuration["Labels"].items()}
    assert labels["title"] == f"llmos-{service}" and labels["licenses"] == "Apache-2.0"
    assert all(labels[key] for key in ("description", "version", "revision", "source"))


def files_of(engine, service):
    container = engine("create", image(service)).stdout.split()[-1]
    try:
        with subprocess.Popen(
            [engine.tool, "export", container], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=engine.environment
        ) as export:
            with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
                return {pathlib.PurePosixPath("/", member.name) for member in archive}
    finally:
        engine("rm", "-f", container)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_the_libraries_of_its_service_and_no_others(engine, service):
    names = {path.name for path in files_of(engine, service)}
    programs = {name for name in names if name.startswith("llmos-")}
    assert programs == {f"llmos-{service}"} | ({"llmos-training-worker"} if service == "training" else set())
    assert ("libopenblas.so.0" in names) == (service in ("inference", "training"))
    assert ("libsqlite3.so.0" in names) == (service in ("data", "training"))
    assert "libnghttp2.so.14" in names
    assert not any(name.startswith("libswift") for name in names)
    assert not names & {"sh", "bash", "apt-get", "perl"}


def test_the_suite_answers_as_the_golden_files_say(containers):
    answer = containers.ask(
        "/v1/chat/completions",
        {"model": "support-chat", "messages": CONVERSATION["messages"], "temperature": 0, "max_tokens": 80},
    ).json()
    assert answer["choices"][0]["message"]["content"] == CONVERSATION["answer"]
    entities = containers.ask("/v1/ner", {"model": "ner-wikiann", "inputs": SENTENCE["text"]}).json()
    assert_same(entities, SENTENCE["entities"]["simple"])


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_no_rights_it_does_not_need(containers, name):
    found = containers.inspect(name)
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["Memory"] > 0
    published = [port for port, bindings in found["HostConfig"]["PortBindings"].items() if bindings]
    assert published == (["8080/tcp"] if name == "gateway" else [])
    writable = {mount["Destination"] for mount in found["Mounts"] if mount["RW"]}
    own = {"data": {"/var/lib/llmos/data"}, "training": {"/var/lib/llmos/training"}}
    assert writable - {"/tmp"} == own.get(name, set())
    status = pathlib.Path(f"/proc/{found['State']['Pid']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {"10001"}
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_compose_says_the_same_as_the_script(containers):
    yaml = pytest.importorskip("yaml")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "deploy" / "compose.yaml").read_text())
    described = yaml.safe_load(text)
    # The script's network is named as its project: one of compose of the same name would stop it, or mix both suites' names.
    assert "networks" not in described
    services = described["services"]
    assert services["inference"]["scale"] == sum(name.startswith("inference-") for name in NAMES)
    for name in NAMES:
        service = name.partition("-")[0]
        wanted, found = services[service], containers.inspect(name)
        assert wanted["image"].startswith(f"localhost/llmos-{service}:")
        assert found["HostConfig"]["Memory"] == int(wanted["mem_limit"].removesuffix("g")) << 30
        assert found["HostConfig"]["PidsLimit"] == wanted["pids_limit"]
        volumes = [volume.split(":") for volume in wanted.get("volumes", [])]
        mounts = {(mount["Destination"], mount["RW"]) for mount in found["Mounts"] if mount["Destination"] != "/tmp"}
        assert mounts == {(parts[1], parts[2:] != ["ro"]) for parts in volumes}
        assert ("ports" in wanted) == (name == "gateway")


def test_a_training_job_runs_in_its_container(containers):
    rows = "".join(
        json.dumps({"text": f"{word} {i}", "label": word}) + "\n" for i in range(8) for word in ("yes", "no")
    )
    upload = requests.post(
        f"{containers.url}/v1/files", files={"file": ("rows.jsonl", rows)}, data={"purpose": "fine-tune"}, timeout=60
    ).json()
    job = containers.ask(
        "/v1/fine_tuning/jobs",
        {
            "model": "ner-wikiann",
            "training_file": upload["id"],
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
            "llmos": {"task": "classify", "model": "answers"},
        },
    ).json()
    events = requests.get(
        f"{containers.url}/v1/fine_tuning/jobs/{job['id']}/events", params={"stream": "true"}, stream=True, timeout=120
    )
    for _ in events.iter_content(None):
        pass
    ended = requests.get(f"{containers.url}/v1/fine_tuning/jobs/{job['id']}", timeout=60).json()
    assert ended["status"] == "succeeded", ended
    found = containers.ask("/v1/classify", {"model": "answers", "inputs": "yes 3"}).json()
    assert found[0]["label"] in ("yes", "no")


def test_services_are_ready_again_after_each_start(containers, capsys):
    # The time depends on what else the machine does: it is printed beside its aim, not asserted.
    seconds = {name: [containers.seconds_to_ready(name)] for name in NAMES}
    for _ in range(STARTS - 1):
        up(containers.engine, "--stop")
        containers.url = up(containers.engine, "--port", "0").stdout.splitlines()[-1].rpartition(" ")[2]
        for name in NAMES:
            seconds[name].append(containers.seconds_to_ready(name))
    with capsys.disabled():
        for name, each in seconds.items():
            print(f"\nready: {name} {min(each):.3f} s (aim: {READY_SECONDS_AIM} s)", end="")


def test_a_stream_in_flight_is_finished_before_a_container_ends_with_code_0(containers):
    response = containers.ask(
        "/v1/chat/completions",
        {"model": "support-chat", "messages": CONVERSATION["messages"], "temperature": 2, "max_tokens": 1000, "stream": True},
        stream=True,
    )
    parts = response.iter_content(None)
    head = next(parts)
    stopping = [
        threading.Thread(target=containers.engine, args=("stop", "-t", "15", f"{NAME}-{name}")) for name in NAMES
    ]
    for thread in stopping:
        thread.start()
    assert b"".join([head, *parts]).decode().rstrip().endswith("data: [DONE]")
    for thread in stopping:
        thread.join()
    assert {name: containers.inspect(name)["State"]["ExitCode"] for name in NAMES} == dict.fromkeys(NAMES, 0)
