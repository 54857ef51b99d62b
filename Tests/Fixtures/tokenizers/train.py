"""Byte-level BPE trained by Hugging Face tokenizers, for Tests/TokenizersTests.

Usage: train.py small                              a small corpus, written here (the committed trained.json)
       train.py support-chat DATA                  the rows the demo model is trained on, from the folder banking77
       train.py lines FILE SIZE MIN_FREQUENCY      the lines of a text
       train.py random SEED COUNT                  texts of few characters, which make equal and overlapping pairs
       train.py load FOLDER TEXTS                  loads a saved tokenizer, encodes the texts of a JSON file

Writes one JSON object per line: {"options": …, "texts": [...], "json": tokenizer.json as text}; for load what the
tokenizer makes of the texts.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def train(texts, size, min_frequency=0, special=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=min_frequency, special_tokens=list(special),
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return {"options": {"size": size, "minFrequency": min_frequency, "special": list(special)}, "texts": texts,
            "json": tokenizer.to_str(pretty=True)}


def small():
    texts = ["low low low low low lower lower newest newest newest newest newest newest widest widest widest",
             "aaaaaaaa aaaa aaa ababab bababa abab", "don't we'll I've 12345 3.14 é ü \U0001f600\U0001f600 日本語 日本",
             "<s>special tokens are text here</s>", "\t\ttabs  and   runs    of\n\n\nspaces \r\n", "\x00\x01 \"quotes\" \\"]
    return train(texts * 3, 330, 2, ["<s>", "</s>", "a quoted \"token\" \\ \n"])


def support_chat(folder):
    script = pathlib.Path(__file__).parents[3] / "deploy/models/banking77_chat.py"
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([sys.executable, script, folder, out], check=True)
        rows = [json.loads(line) for line in open(os.path.join(out, "train.jsonl"), encoding="utf-8")]
    texts = [message["content"] for row in rows for message in row["messages"]]
    return train(texts, 4096, 0, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def noise(seed):
    rng = random.Random(seed)
    alphabet = rng.choice(["ab", "abc", "a", "aé ", "ab\u0301 '", "xyz \n"])
    texts = ["".join(rng.choice(alphabet) for _ in range(rng.randrange(60))) for _ in range(rng.choice([3, 30, 300]))]
    special = rng.choice([[], ["<s>"], ["ab", "a"], ["Ġ", "é"]])
    return train(texts, 256 + len(special) + rng.choice([0, 5, 40, 400]), rng.choice([0, 1, 2, 10]), special)


def load(folder, path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = json.load(open(path, encoding="utf-8"))
    chat = None
    if tokenizer.chat_template:
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False,
                                             add_generation_prompt=True)
    return {"ids": [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts], "chat": chat,
            "special": [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token],
            "longest": tokenizer.model_max_length}


if __name__ == "__main__":
    kind, rest = sys.argv[1], sys.argv[2:]
    if kind == "small":
        results = [small()]
    elif kind == "support-chat":
        results = [support_chat(rest[0])]
    elif kind == "lines":
        lines = open(rest[0], encoding="utf-8", newline="").read().splitlines(keepends=True)
        results = [train(lines, int(rest[1]), int(rest[2]))]
    elif kind == "random":
        results = [noise(int(rest[0]) + number) for number in range(int(rest[1]))]
    else:
        results = [load(rest[0], rest[1])]
    for result in results:
        print(json.dumps(result))
