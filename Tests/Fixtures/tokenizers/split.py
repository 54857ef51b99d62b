"""Splits texts by patterns with Hugging Face `tokenizers`.

    python split.py FILE

FILE is JSON: {"patterns": [...], "texts": [...]}. Writes one line for each pattern: the lengths in bytes of the pieces of
each text, or null if the pattern is refused.
"""
import json
import sys

from tokenizers import Regex, pre_tokenizers

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
for pattern in job["patterns"]:
    try:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception:  # the library raises `Exception` itself
        print("null")
        continue
    print(json.dumps([[len(piece.encode()) for piece, _ in split.pre_tokenize_str(text)] for text in job["texts"]]))
