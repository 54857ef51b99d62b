"""Asks a served chat model queries of BANKING77's test split, and prints how many it answers exactly as answers.json does.

Usage: exact_answers.py FOLDER [--url http://127.0.0.1:8080/v1] [--model support-chat] [--queries 1000]"""

import argparse
import concurrent.futures
import csv
import json
import pathlib
import random

import openai

STREAMS = 8
TOKENS_MAX = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--url", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--model", default="support-chat")
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    answers = json.loads((options.folder / "answers.json").read_text(encoding="utf-8"))
    with open(options.folder / "test.csv", encoding="utf-8", newline="") as file:
        rows = random.Random(0).sample(list(csv.DictReader(file)), options.queries)
    client = openai.OpenAI(base_url=options.url, api_key="none", timeout=600)

    def is_exact(row):
        completion = client.chat.completions.create(
            model=options.model, messages=[{"role": "user", "content": row["text"]}],
            temperature=0, max_tokens=TOKENS_MAX)
        return completion.choices[0].message.content.strip() == answers[row["category"]]

    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        exact = sum(pool.map(is_exact, rows))
    print(f"exact answers: {exact} of {len(rows)} ({exact / len(rows):.1%})")


if __name__ == "__main__":
    main()
