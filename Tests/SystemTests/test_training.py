"""Training jobs, as a user meets them on the command line."""

import os
import re
import signal
import subprocess

import pytest
from conftest import BUILD, MODELS, Suite, eventually

NAMES = ["Ada", "Bob", "Cleo", "Dan", "Eve", "Fay", "Gus", "Hal"]
PLACES = ["Oslo", "Rome", "Lima", "Bonn", "Kyiv", "Bern", "Cork", "Nice"]


def conll(rows, shift=0):
    lines = []
    for row in range(rows):
        name, place = NAMES[(row + shift) % 8], PLACES[(3 * row + shift) % 8]
        lines += [f"{name} B-PER", "went O", "to O", f"{place} B-LOC", ". O", ""]
    return "\n".join(lines) + "\n"


def import_places(suite, folder, name="trips", train_rows=64):
    files = {"train": conll(train_rows), "dev": conll(8, 1), "test": conll(8, 2)}
    arguments = []
    for split, text in files.items():
        path = folder / f"{split}.conll"
        path.write_text(text)
        arguments += ["--split", f"{split}={path}"]
    suite.llmos("data", "import", "--name", name, *arguments)
    return name


def train(suite, *arguments, **options):
    return suite.llmos("train", "ner", "--data", "trips", "--base", "ner-wikiann", *arguments, **options)


def job_of(text):
    return re.search(r"job-[0-9a-f]{10}", text).group()


@pytest.fixture(scope="module")
def trips(suite, tmp_path_factory):
    import_places(suite, tmp_path_factory.mktemp("trips"))
    return suite


def test_a_job_trains_registers_its_model_and_tells_so(trips):
    result = train(trips, "--model", "trips-ner", "--set", "epochs=2", "--set", "batchSize=8")
    out = result.stdout
    job = job_of(out)
    assert f"{job} succeeded: registered trips-ner@1" in out
    assert "training on 64 rows" in out
    assert re.search(r"100%  step 16/16  loss \d", out), out
    assert "\x1b" not in out and "\r" not in out, "a bar is for terminals only"
    shown = trips.llmos("jobs", "show", job).stdout
    for part in ["succeeded", "trips@1", "ner-wikiann@1", "trips-ner@1", "batchSize", "METRICS", "REPORTS"]:
        assert part in shown, shown
    assert job in trips.llmos("jobs").stdout
    report = re.search(r"^(\S+\.txt)\s*$", shown, re.M)
    assert report and trips.llmos("jobs", "show", job, "--report", report.group(1)).stdout
    assert "trips-ner@1" in trips.llmos("models", "show", "trips-ner").stdout


def test_the_same_settings_give_the_same_weights_and_runs_are_compared(trips):
    jobs, digests = [], []
    for model in ["twin-a", "twin-b"]:
        jobs.append(job_of(train(trips, "--model", model, "--set", "epochs=1").stdout))
        digests.append(re.search(r"digest\s+(\w+)", trips.llmos("models", "show", model).stdout).group(1))
    assert digests[0] == digests[1]
    other = job_of(train(trips, "--model", "third", "--set", "epochs=1", "--set", "learningRate=0.001").stdout)
    table = trips.llmos("runs", "compare", jobs[0], other).stdout
    assert re.search(r"^\* +learningRate +default +0\.001", table, re.M), table
    assert re.search(r"^  +epochs +1 +1", table, re.M), table
    assert re.search(r"test\.\S+ +[\d.]+ +[\d.]+", table), table


def test_a_key_makes_one_job(trips):
    first, second = (
        job_of(train(trips, "--model", "keyed", "--set", "epochs=1", "--key", "k1", "--detach").stdout)
        for _ in range(2))
    assert first == second
    refused = train(trips, "--model", "other", "--key", "k1", "--detach", check=False)
    assert refused.returncode != 0 and first in refused.stderr
    trips.llmos("jobs", "watch", first)


@pytest.mark.parametrize("arguments, words", [
    (["--set", "learningRate=fast"], "learningRate"),
    (["--set", "learningSpeed=1"], "learningSpeed"),
    (["--data", "nothing"], "specification.dataset"),
    (["--base", "nothing"], "specification.base_model"),
    (["--base", "support-chat"], "specification.base_model"),
    (["--dev-split", "eval"], "specification.dev_split"),
])
def test_what_cannot_be_trained_is_refused_at_once_naming_the_field(trips, arguments, words):
    arguments = ["train", "ner", "--data", "trips", "--base", "ner-wikiann", "--model", "refused", *arguments]
    # The last of two equal options holds.
    for name in ["--data", "--base"]:
        if arguments.count(name) == 2:
            index = arguments.index(name)
            del arguments[index:index + 2]
    result = trips.llmos(*arguments, check=False)
    assert result.returncode != 0
    assert words in result.stderr, result.stderr
    assert "refused" not in trips.llmos("jobs", "list", "--model", "refused").stdout


def test_the_settings_of_a_task_are_listed(trips):
    listed = trips.llmos("train", "ner", "--list-settings").stdout
    assert re.search(r"^epochs\s+3\s+an integer", listed, re.M), listed


def test_a_job_waits_for_its_turn_and_is_cancelled(trips):
    first = job_of(train(trips, "--model", "long", "--set", "epochs=900", "--detach").stdout)
    second = job_of(train(trips, "--model", "next", "--set", "epochs=1", "--detach").stdout)
    assert "queued" in trips.llmos("jobs", "show", second).stdout
    eventually(lambda: "running" in trips.llmos("jobs", "show", first).stdout, "the first job to run")
    trips.llmos("jobs", "cancel", first)
    trips.llmos("jobs", "watch", second)
    assert re.search(r"state\s+cancelled", trips.llmos("jobs", "show", first).stdout)
    assert trips.llmos("jobs", "watch", first, check=False).returncode == 1


def test_ctrl_c_leaves_the_job_running(trips):
    command = [BUILD / "llmos", "train", "ner", "--data", "trips", "--base", "ner-wikiann", "--model", "left",
               "--set", "epochs=900", "--home", trips.home]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    job = job_of(process.stdout.readline())
    for line in process.stdout:
        if "step" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(30) == 0
    assert f"llmos jobs watch {job}" in rest and f"llmos jobs cancel {job}" in rest
    assert re.search(r"state\s+running", trips.llmos("jobs", "show", job).stdout)
    trips.llmos("jobs", "cancel", job)
    trips.llmos("jobs", "watch", job, check=False)


def test_a_job_that_cannot_fit_is_refused_with_the_numbers(tmp_path):
    suite = Suite(tmp_path / "home").start("--training-memory", "16MiB")
    try:
        import_places(suite, tmp_path)
        result = train(suite, "--model", "too-large", check=False)
        assert result.returncode == 1
        assert re.search(r"failed: training needs \d+ MiB, the limit is 16 MiB", result.stdout), result.stdout
    finally:
        suite.stop()


def test_the_benchmark_of_training_prints_its_figures_and_says_what_it_cannot_compare(tmp_path):
    for split in ["train", "test"]:
        (tmp_path / f"{split}.conll").write_text(conll(16))
    environment = {**os.environ, "LLMOS_PEERS": str(tmp_path / "nowhere")}
    command = [BUILD / "llmos", "bench", "train", "--base", MODELS / "ner-wikiann", "--data", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"llmos_ner_f32 \d+\.\d\d s\nllmos_ner_f32_f1 [01]\.\d{4} F1\n", result.stdout), result.stdout
    assert "PyTorch is not measured" in result.stderr and "nowhere" in result.stderr
