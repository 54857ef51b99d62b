"""Datasets and versions of models, as a user manages them from the command line."""

import json
import shutil
import subprocess
import threading

from conftest import BUILD, MODELS

CSV = "text,category\n" + "".join(f'"row {i}, quoted",label-{i % 3}\n' for i in range(300))
CONLL = "".join(f"Ada\tI-PER\nmet\tO\nBob\tI-PER\nin\tO\nOslo{i}\tI-LOC\n\n" for i in range(50))


def test_a_dataset_is_imported_shown_split_compared_and_exported(suite, tmp_path):
    file = tmp_path / "cards.csv"
    file.write_text(CSV)
    result = suite.llmos("data", "import", str(file), "--name", "cards")
    assert result.stdout.startswith("imported cards@1\n")
    assert result.stderr == "", "the progress bar is for terminals only"
    assert suite.llmos("data", "import", str(file), "--name", "cards").stdout.startswith("cards@1 has this content")
    shown = suite.llmos("data", "show", "cards").stdout
    for part in ["sequence-classification", "300", "label-0", '{"text":"row 0, quoted","label":"label-0"}']:
        assert part in shown
    split = suite.llmos("data", "split", "cards", "--share", "train=0.8", "--share", "dev=0.2", "--stratified",
                        "--seed", "7").stdout
    assert split.startswith("made cards@2\n")
    difference = suite.llmos("data", "diff", "cards@1", "cards@2").stdout
    assert "0 added, 0 removed, 300 unchanged, 60 of them moved" in difference
    rows = []
    for name, count in [("train", 240), ("dev", 60)]:
        exported = suite.llmos("data", "export", "cards", "--split", name).stdout.splitlines()
        assert len(exported) == count
        rows += [json.loads(line)["text"] for line in exported]
    assert sorted(rows) == sorted(f"row {i}, quoted" for i in range(300))
    assert "cards@2" in suite.llmos("data").stdout
    suite.llmos("data", "delete", "cards@2")
    assert "cards@2" not in suite.llmos("data", "list").stdout


def test_files_become_splits_and_old_schemes_are_normalized(suite, tmp_path):
    for name in ["train", "dev"]:
        (tmp_path / f"{name}.conll").write_text(CONLL)
    suite.llmos("data", "import", "--name", "places", "--split", f"train={tmp_path}/train.conll",
                "--split", f"dev={tmp_path}/dev.conll")
    shown = suite.llmos("data", "show", "places", "--rows", "1").stdout
    assert "IOB2, imported as IOB1" in shown
    assert '{"tokens":["Ada","met","Bob","in","Oslo0"],"tags":["B-PER","O","B-PER","O","B-LOC"]}' in shown


def test_bad_rows_are_listed_by_line_and_refused_or_skipped(suite, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text":"good"}\n{"text":\n{"other":1}\n')
    refused = suite.llmos("data", "import", str(file), "--name", "rows", check=False)
    assert refused.returncode != 0
    assert "rows.jsonl:2: not JSON" in refused.stderr and "rows.jsonl:3: " in refused.stderr
    assert "nothing was imported: 2 bad rows" in refused.stderr
    skipped = suite.llmos("data", "import", str(file), "--name", "rows", "--bad-rows", "skip")
    assert "left out 2 bad rows" in skipped.stdout
    for arguments in [[str(file)], ["--name", "x"], ["--name", "x", str(tmp_path / "none.txt")],
                      ["--name", "x", "--format", "xml", str(file)], ["--name", "X", str(file)]]:
        assert suite.llmos("data", "import", *arguments, check=False).returncode != 0


def test_the_progress_bar_is_drawn_on_a_terminal(suite, tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("".join(f"line {i} of a longer text\n" for i in range(100_000)))
    command = f"{BUILD / 'llmos'} data import {file} --name long --home {suite.home}"
    result = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0
    assert "MB/s" in result.stdout and "100000 rows" in result.stdout and "imported long@1" in result.stdout


def test_a_killed_service_keeps_whole_versions_only(own_suite, tmp_path):
    file = tmp_path / "many.txt"
    file.write_text("".join(f"line {i} of a text\n" for i in range(400_000)))
    own_suite.llmos("data", "import", str(file), "--name", "whole")
    running = threading.Thread(
        target=own_suite.llmos, args=("data", "import", str(file), "--name", "broken"), kwargs={"check": False})
    running.start()
    own_suite.await_restart("data", own_suite.kill("data"))
    running.join()
    listed = own_suite.llmos("data").stdout
    assert "whole@1" in listed
    assert len(own_suite.llmos("data", "export", "whole").stdout.splitlines()) == 400_000
    own_suite.llmos("data", "import", str(file), "--name", "broken")
    assert "broken@1" in own_suite.llmos("data").stdout
    staging = own_suite.home / "data" / "staging"
    assert list(staging.iterdir()) == []


def test_a_version_is_promoted_and_rolled_back(own_suite, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(MODELS / "support-chat", folder)
    for text in ["one", "two"]:
        (folder / "README.md").write_text(text)
        own_suite.llmos("models", "import", str(folder), "--name", "own")
    assert own_suite.llmos("models", "promote", "own@1").stdout == "own@production is version 1\n"
    assert own_suite.llmos("models", "promote", "own").stdout == "own@production is version 2\n"
    assert own_suite.llmos("models", "rollback", "own").stdout == "own@production is version 1\n"
    shown = own_suite.llmos("models", "show", "own").stdout
    assert "own@1" in shown and "own@2" in shown and "rollback" in shown
    refused = own_suite.llmos("models", "promote", "own@9", check=False)
    assert refused.returncode != 0 and "no version 9" in refused.stderr
