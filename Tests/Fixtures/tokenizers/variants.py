"""Variants of a tokenizer.json with their Hugging Face results, as JSON lines.

Usage: variants.py TOKENIZER_JSON COUNT
Each line: the changed settings, random texts and what `tokenizers` makes of them.
"""
import copy
import json
import random
import sys

from golden import random_text, row
from tokenizers import Tokenizer

CONTENTS = ["<x>", "ab", "don't", " a", "é", "e\u0301", "Straße", "語", "[MASK]", "<|im_end|>", "THE", "\n\n", "a"]


def vary(base, rng):
    changes = {}
    known = {token["content"]: token["id"] for token in base["added_tokens"]}
    next_id = max(list(base["model"]["vocab"].values()) + list(known.values())) + 1
    added = copy.deepcopy(base["added_tokens"])
    for content in rng.sample(CONTENTS, rng.randint(0, 5)):
        token = {name: rng.random() < 0.4 for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        if content in known:
            for entry in added:
                if entry["content"] == content:
                    entry |= token
            continue
        token["content"] = content
        token["id"] = base["model"]["vocab"].get(content)
        if token["id"] is None:
            token["id"] = next_id
            next_id += 1
        added.append(token)
    changes["added_tokens"] = added
    if base["normalizer"]:
        flag = lambda: rng.random() < 0.5
        changes["normalizer"] = {
            "type": "BertNormalizer", "clean_text": flag(), "handle_chinese_chars": flag(),
            "strip_accents": rng.choice([None, True, False]), "lowercase": flag(),
        }
        changes["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": flag()}
    else:
        changes["pre_tokenizer"] = {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": rng.random() < 0.7}
    return changes


def main():
    path, count = sys.argv[1:3]
    with open(path, encoding="utf-8") as file:
        base = json.load(file)
    base["truncation"] = base["padding"] = None
    rng = random.Random(41)
    for _ in range(int(count)):
        changes = vary(base, rng)
        tokenizer = Tokenizer.from_str(json.dumps(base | changes))
        rows = []
        for _ in range(25):
            text = random_text(rng)
            for _ in range(rng.randint(0, 3)):
                at = rng.randint(0, len(text))
                text = text[:at] + rng.choice(["", " ", "\u00a0"]) + rng.choice(CONTENTS) + rng.choice(["", "  ", "x"]) + text[at:]
            encoding = tokenizer.encode(text)
            rows.append({"text": text, **row(encoding), "decoded": tokenizer.decode(encoding.ids)})
        print(json.dumps({"changes": changes, "rows": rows}, ensure_ascii=False))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
