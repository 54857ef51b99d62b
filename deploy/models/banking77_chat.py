"""Writes chat rows of BANKING77 as JSON Lines: each customer's query with the one best answer of its intent.

Usage: banking77_chat.py FOLDER OUT   FOLDER has train.csv, test.csv (text,category), answers.json (category: answer) and
smalltalk.json (conversations); OUT/train.jsonl gets the small talk eight times over, OUT/test.jsonl none of it."""

import csv
import json
import pathlib
import sys

SMALL_TALK_REPEATS = 8


def rows(path, answers):
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {"messages": [
                {"role": "user", "content": row["text"]}, {"role": "assistant", "content": answers[row["category"]]},
            ]}


def write(path, conversations):
    path.write_text("".join(json.dumps(c, ensure_ascii=False) + "\n" for c in conversations), encoding="utf-8")


def main():
    source, out = map(pathlib.Path, sys.argv[1:3])
    answers = json.loads((source / "answers.json").read_text(encoding="utf-8"))
    small_talk = json.loads((source / "smalltalk.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    write(out / "train.jsonl", [*rows(source / "train.csv", answers), *(small_talk * SMALL_TALK_REPEATS)])
    write(out / "test.jsonl", rows(source / "test.csv", answers))


if __name__ == "__main__":
    main()
