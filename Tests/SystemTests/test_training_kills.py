"""Worker, training service and data service are killed at random moments; the job ends with the same bits.

TRAINING_KILLS says how often each of them is killed (default 4); TRAINING_KILL_SEED makes the moments the same again.
"""

import json
import os
import random
import re
import time

import pytest
from conftest import Suite, eventually
from test_training import NAMES, PLACES, job_of

KILLS = int(os.environ.get("TRAINING_KILLS", "4"))
SEED = int(os.environ.get("TRAINING_KILL_SEED", str(random.randrange(1 << 30))))
# A small model from scratch: all parts of a job take a share of its second or two.
SETTINGS = {
    "epochs": 4, "batchSize": 4, "checkpointSteps": 5, "scratchHidden": 64, "scratchLayers": 2, "scratchHeads": 4,
    "scratchKvHeads": 2, "scratchIntermediate": 128, "scratchContext": 128, "scratchVocabulary": 320,
}


def import_trips(suite, folder):
    rows = [
        {"messages": [
            {"role": "user", "content": f"Where did {name} go?"},
            {"role": "assistant", "content": f"{name} went to {place}."},
        ]}
        for name in NAMES for place in PLACES
    ]
    path = folder / "trips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite.llmos("data", "import", "--name", "trips", "--split", f"train={path}", "--split", f"dev={path}")


def train(suite, *arguments, **options):
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    return suite.llmos("train", "chat", "--data", "trips", *settings, *arguments, **options)


def create(suite, model):
    """Creates a job, which has to wait while the training service still looks for a data service that was away."""
    created = []

    def accepted():
        result = train(suite, "--model", model, "--key", model, "--detach", check=False)
        created.append(result)
        return result.returncode == 0

    eventually(accepted, f"the job of {model} to be created")
    return job_of(created[-1].stdout)


def digest(suite, model):
    """The digest of a model's only version: of all its files, the weights among them."""
    return re.search(r"digest\s+(\w+)", suite.llmos("models", "show", model).stdout).group(1)


def worker_of(suite):
    """The process of the worker that runs, if one does."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"llmos-training-worker") and str(suite.home).encode() in words[1]:
                return int(entry)
    return None


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A suite, the digest that an unbroken job comes to, and how long it takes."""
    suite = Suite(tmp_path_factory.mktemp("kills")).start()
    import_trips(suite, tmp_path_factory.mktemp("data"))
    train(suite, "--model", "warm")
    began = time.monotonic()
    train(suite, "--model", "unbroken")
    seconds = time.monotonic() - began
    yield suite, digest(suite, "unbroken"), seconds
    suite.stop()


def kill(suite, target):
    if target != "worker":
        former = suite.kill(target)
        suite.await_restart(target, former)
        return
    worker = worker_of(suite)
    if worker is not None:
        try:
            os.kill(worker, 9)
        except ProcessLookupError:
            pass  # It has just ended by itself.


@pytest.mark.parametrize("target", ["worker", "training", "data"])
@pytest.mark.parametrize("round", range(KILLS))
def test_a_killed_process_does_not_change_the_result(trained, target, round):
    suite, expected, seconds = trained
    moment = random.Random(f"{SEED} {target} {round}").uniform(0, 1.1 * seconds)
    model = f"{target}-{round}"
    job = create(suite, model)
    time.sleep(moment)
    kill(suite, target)
    said = f"killed {target} after {moment:.3f} s (TRAINING_KILL_SEED={SEED})"
    watched = suite.llmos("jobs", "watch", job, check=False, timeout=240)
    assert watched.returncode == 0, f"{said}: {watched.stdout}{watched.stderr}{suite.logs()}"
    assert digest(suite, model) == expected, said
    assert len(re.findall(rf"^{model}@", suite.llmos("models").stdout, re.M)) == 1, said
    eventually(lambda: suite.llmos("status", check=False).returncode == 0, "all services to be ready")
