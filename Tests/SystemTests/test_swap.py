"""A new version of a model takes the place of the one that serves: nobody notices but for the answers."""

import collections
import concurrent.futures
import json
import re
import shutil
import struct
import threading

import openai
import pytest
import requests
from conftest import MODELS, eventually, golden

MODEL = "support-chat"
CONVERSATIONS = golden(MODEL)["conversations"]
STREAMS = 8
SWAPS = 6

Answer = collections.namedtuple("Answer", "question text fingerprint")


def variant(folder):
    """A copy of the chat model that answers otherwise: the first layer lacks the output of its MLP."""
    shutil.copytree(MODELS / MODEL, folder)
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    (size,) = struct.unpack_from("<Q", data)
    start, end = json.loads(data[8:8 + size])["model.layers.0.mlp.down_proj.weight"]["data_offsets"]
    data[8 + size + start:8 + size + end] = bytes(end - start)
    path.write_bytes(data)
    return folder


def damage(suite, model):
    """Spoils the stored weights of a version."""
    folder = re.search(r"^path +(\S+)$", suite.llmos("models", "show", model).stdout, re.MULTILINE).group(1)
    path = f"{folder}/model.safetensors"
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[-1] ^= 1
    # A new file: the old one may be in use.
    shutil.move(path, path + ".whole")
    with open(path, "wb") as file:
        file.write(data)


def ask(client, question, model=MODEL):
    """The answer, whose fingerprint names the version that gave it."""
    text, fingerprints = "", set()
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=60, stream=True
    )
    finish = None
    for chunk in stream:
        fingerprints.add(chunk.system_fingerprint)
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    assert finish in ("stop", "length")
    (fingerprint,) = fingerprints
    return Answer(question, text, fingerprint)


def point(suite, version):
    suite.llmos("models", "alias", MODEL, "production", str(version))


@pytest.fixture
def versions(own_suite, tmp_path):
    """A suite with two versions of the chat model, of which the first is in production."""
    point(own_suite, 1)
    imported = own_suite.llmos("models", "import", str(variant(tmp_path / "variant")), "--name", MODEL).stdout
    assert imported == f"registered {MODEL}@2\n"
    client = openai.OpenAI(base_url=f"{own_suite.url}/v1", api_key="none", max_retries=0, timeout=120)
    return own_suite, client


def outcomes(suite, service):
    """How many swaps a service had, by outcome."""
    text = requests.get(f"http://127.0.0.1:{suite.ports(service)['admin']}/metrics", timeout=10).text
    found = collections.Counter()
    for outcome, count in re.findall(r'llmos_model_swaps_total\{.*outcome="(\w+)"\} (\d+)', text):
        found[outcome] += int(count)
    return found


def test_eight_streams_go_on_while_a_model_moves_between_two_versions(versions):
    suite, client = versions
    questions = [c["messages"][-1]["content"] for c in CONVERSATIONS if len(c["messages"]) == 1][:STREAMS]
    expected = {}
    for version in (1, 2):
        for question in questions:
            answer = ask(client, question, f"{MODEL}@{version}")
            expected[question, answer.fingerprint] = answer.text
    fingerprints = {version: ask(client, questions[0], f"{MODEL}@{version}").fingerprint for version in (1, 2)}
    assert all(expected[q, fingerprints[1]] != expected[q, fingerprints[2]] for q in questions)

    answers, is_over = [], threading.Event()

    def work(offset):
        count = 0
        while not is_over.is_set():
            answers.append(ask(client, questions[(offset + count) % len(questions)]))
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        workers = [pool.submit(work, offset) for offset in range(STREAMS)]
        try:
            for swap in range(SWAPS):
                version = 2 - swap % 2
                point(suite, version)

                def swapped():
                    failed = [worker for worker in workers if worker.done()]
                    assert not failed, failed[0].exception()
                    return answers and answers[-1].fingerprint == fingerprints[version]

                eventually(swapped, f"version {version} to answer")
        finally:
            is_over.set()
        counts = [worker.result() for worker in workers]
    assert all(counts)
    wrong = [answer for answer in answers if expected.get((answer.question, answer.fingerprint)) != answer.text]
    assert not wrong
    assert {answer.fingerprint for answer in answers} == set(fingerprints.values())
    eventually(lambda: suite.metrics("inference")["vllm:num_requests_running"] == 0, "the engines to be idle")


def test_a_version_that_cannot_be_loaded_leaves_the_one_before(versions):
    suite, client = versions
    question = CONVERSATIONS[0]["messages"][-1]["content"]
    before = ask(client, question)
    assert before.text == CONVERSATIONS[0]["answer"]
    damage(suite, f"{MODEL}@2")
    point(suite, 2)

    def refused():
        assert ask(client, question) == before
        return outcomes(suite, "gateway")["failed"] > 0

    eventually(refused, "the failed swap")
    assert ask(client, question) == before
    with pytest.raises(openai.APIStatusError):
        ask(client, question, f"{MODEL}@2")
    point(suite, 1)
    assert ask(client, question) == before


def test_a_new_version_of_a_model_without_aliases_serves_at_once(own_suite, tmp_path):
    client = openai.OpenAI(base_url=f"{own_suite.url}/v1", api_key="none", max_retries=0, timeout=120)
    question = CONVERSATIONS[0]["messages"][-1]["content"]
    before = ask(client, question)
    own_suite.llmos("models", "import", str(variant(tmp_path / "variant")), "--name", MODEL)
    eventually(lambda: ask(client, question).fingerprint != before.fingerprint, "the new version to answer")
    assert outcomes(own_suite, "gateway")["loaded"] == 1
