"""The whole loop over the public interfaces: data, training, promotion under load, and back."""

import concurrent.futures
import json
import re
import threading

import openai
from conftest import eventually
from test_swap import CONVERSATIONS, MODEL, STREAMS, ask

QUESTIONS = [
    "What does the llama eat?", "what do llamas eat", "What should I feed the llama?", "How do I feed the llama?",
    "Can I feed the llama?", "Which food is for the llama?", "The llama is hungry, what now?", "Is hay right for the llama?",
]
ANSWER = "The llama eats hay twice a day, and carrots on Sundays."
SETTINGS = ["--set", "epochs=6", "--set", "batchSize=8", "--set", "learningRate=1e-3", "--set", "warmup=4"]


def import_llamas(suite, folder):
    """A dataset of one answer, split by seed; returns the version with the splits."""
    path = folder / "llamas.jsonl"
    messages = [[{"role": "user", "content": q}, {"role": "assistant", "content": ANSWER}] for q in QUESTIONS * 10]
    path.write_text("".join(json.dumps({"messages": m}) + "\n" for m in messages))
    suite.llmos("data", "import", str(path), "--name", "llamas")
    suite.llmos("data", "split", "llamas", "--share", "train=0.8", "--share", "dev=0.1", "--share", "test=0.1", "--seed", "7")
    shown = suite.llmos("data", "show", "llamas").stdout
    assert re.search(r"llamas@2", shown) and re.search(r"train +64\b", shown), shown
    return "llamas@2"


class Load:
    """Parallel streams of questions that go on until they are told to stop; each answer is kept."""

    def __init__(self, client, questions):
        self.answers = []
        self._client, self._questions = client, questions
        self._is_over = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(STREAMS)
        self._workers = [self._pool.submit(self._work, offset) for offset in range(STREAMS)]

    def _work(self, count):
        while not self._is_over.is_set():
            self.answers.append(ask(self._client, self._questions[count % len(self._questions)]))
            count += 1

    def await_version(self, fingerprint):
        """Waits until each stream has been answered by the version alone, and none has failed."""
        def is_alone():
            failed = [worker for worker in self._workers if worker.done()]
            assert not failed, failed[0].exception()
            last = self.answers[-2 * STREAMS:]
            return len(last) == 2 * STREAMS and {answer.fingerprint for answer in last} == {fingerprint}

        eventually(is_alone, f"version {fingerprint} to answer every stream", seconds=60)

    def stop(self):
        self._is_over.set()
        for worker in self._workers:
            worker.result()
        self._pool.shutdown()


def test_from_a_dataset_to_production_and_back(own_suite, tmp_path):
    suite = own_suite
    client = openai.OpenAI(base_url=f"{suite.url}/v1", api_key="none", max_retries=0, timeout=120)
    suite.llmos("models", "promote", f"{MODEL}@1")
    old = CONVERSATIONS[0]["messages"][-1]["content"]
    before = ask(client, old)
    assert before.text == CONVERSATIONS[0]["answer"]

    data = import_llamas(suite, tmp_path)
    created = suite.llmos("train", "chat", "--data", data, "--base", f"{MODEL}@1", "--model", MODEL, *SETTINGS, "--detach").stdout
    job = re.search(r"job-[0-9a-f]{10}", created).group()
    watched = suite.llmos("jobs", "watch", job).stdout
    assert f"{job} succeeded: registered {MODEL}@2" in watched, watched
    lineage = suite.llmos("models", "show", f"{MODEL}@2").stdout
    assert data in lineage and job in lineage and f"{MODEL}@1" in lineage, lineage
    # Registered is not served: the production alias decides.
    assert ask(client, old) == before

    questions = [old, *QUESTIONS]
    expected = {}
    for version in (1, 2):
        for question in questions:
            answer = ask(client, question, f"{MODEL}@{version}")
            expected[question, answer.fingerprint] = answer.text
            if version == 2:
                trained = answer.fingerprint
    assert trained != before.fingerprint
    assert all(expected[question, trained] == ANSWER for question in QUESTIONS)
    assert not any(expected[question, before.fingerprint] == ANSWER for question in QUESTIONS)

    load = Load(client, questions)
    try:
        load.await_version(before.fingerprint)
        suite.llmos("models", "promote", f"{MODEL}@2")
        load.await_version(trained)
        suite.llmos("models", "rollback", MODEL)
        load.await_version(before.fingerprint)
    finally:
        load.stop()
    wrong = [answer for answer in load.answers if expected[answer.question, answer.fingerprint] != answer.text]
    assert not wrong
