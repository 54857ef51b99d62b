"""The command line, as a user types it."""

import json
import shutil
import subprocess

import pytest
from conftest import BUILD, MODELS, golden

CONVERSATIONS = golden("support-chat")["conversations"]
SENTENCE = golden("ner-wikiann")[0]


def test_chat_answers_one_question(suite):
    question = CONVERSATIONS[0]["messages"][0]["content"]
    assert suite.llmos("chat", question).stdout == CONVERSATIONS[0]["answer"] + "\n"


def test_chat_holds_a_conversation_and_survives_a_bad_turn(suite):
    first, second = (c for c in CONVERSATIONS[:2])
    lines = [first["messages"][0]["content"], "/clear", "word " * 3000, second["messages"][0]["content"], "/exit"]
    result = suite.llmos("chat", stdin="\n".join(lines) + "\n")
    answers = result.stdout.splitlines()
    assert answers[0] == first["answer"]
    assert answers[1].startswith("error: ") and "context" in answers[1]
    assert answers[2] == second["answer"]


def test_chat_ends_quietly_when_nobody_reads(suite):
    command = f"{BUILD / 'llmos'} chat --home {suite.home} --temperature 2 hello | head -c 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert result.returncode == 0 and result.stderr == b""


def test_ner_prints_entities(suite):
    lines = suite.llmos("ner", SENTENCE["text"]).stdout.splitlines()
    expected = SENTENCE["entities"]["simple"]
    assert [line.split()[0] for line in lines[1:]] == [entity["entity_group"] for entity in expected]
    found = json.loads(suite.llmos("ner", "--json", SENTENCE["text"]).stdout)
    assert [entity["word"] for entity in found] == [entity["word"] for entity in expected]


def test_status_shows_every_service_ready(suite):
    lines = suite.llmos("status").stdout.splitlines()
    services = {line.split()[0]: line.split()[1] for line in lines[1:-1]}
    assert services == {f"llmos-{name}": "ready" for name in ["data", "tokenizer", "inference", "training", "gateway"]}


def test_a_model_is_imported_described_and_served(own_suite, tmp_path):
    folder = tmp_path / "second-chat"
    shutil.copytree(MODELS / "support-chat", folder)
    (folder / "README.md").write_text("another version\n")
    assert own_suite.llmos("models", "import", str(folder)).stdout == "registered second-chat@1\n"
    assert own_suite.llmos("models", "import", str(folder)).stdout == "registered second-chat@1\n"
    shown = own_suite.llmos("models", "show", "second-chat").stdout
    assert "llama" in shown and "model.safetensors" in shown
    own_suite.llmos("models", "alias", "second-chat", "production", "1")
    question = CONVERSATIONS[0]["messages"][0]["content"]
    for model in ["second-chat", "second-chat@1", "second-chat@production"]:
        assert own_suite.llmos("chat", "--model", model, question).stdout == CONVERSATIONS[0]["answer"] + "\n"
    assert "second-chat@1" in own_suite.llmos("models").stdout


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_folder_is_refused_by_the_files_name(suite, tmp_path, file):
    folder = tmp_path / "damaged"
    shutil.copytree(MODELS / "support-chat", folder)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    result = suite.llmos("models", "import", str(folder), check=False)
    assert result.returncode != 0 and file in result.stderr
    assert "damaged" not in suite.llmos("models").stdout


def test_a_command_without_a_suite_says_how_to_start_one(tmp_path):
    for command in [["status"], ["models"], ["chat", "--url", "http://127.0.0.1:1", "hello"]]:
        result = subprocess.run(
            [BUILD / "llmos", *command, "--home", tmp_path], capture_output=True, text=True, timeout=60)
        assert result.returncode != 0
        assert "llmos up" in result.stderr
