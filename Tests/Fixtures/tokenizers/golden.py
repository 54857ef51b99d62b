"""Writes what Hugging Face `tokenizers` makes of many texts, as JSON lines, to standard output.

Usage: golden.py TOKENIZER_JSON SOURCE [ARGUMENT]
  lines FILE     every line of a text file
  conll FILE     every sentence of a CoNLL file, its tokens joined by spaces
  random COUNT   hostile Unicode from a fixed seed
  windows COUNT  random texts in overlapping windows
  scalars STEP   every STEP-th Unicode scalar between letters
"""
import json
import random
import sys

from tokenizers import Tokenizer

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
WORDS = ["don't", "I'll", "WE'RE", "he's", "naïve", "Zürich", "İstanbul", "ŒUVRE", "ßtraße", "12,345.67", "C++", "a_b"]
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F),
    (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF),
    (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20D0, 0x20FF),
    (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x302A, 0x302F), (0x3400, 0x9FFF), (0xAC00, 0xD7A3),
    (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFFFD), (0x10000, 0x1FFFF), (0x1D100, 0x1D1FF),
    (0x1E000, 0x1E9FF), (0x1F300, 0x1FAFF), (0x20000, 0x2FA1F), (0xE0000, 0xE01EF), (0x80, 0x10FFFF),
]


def random_text(rng):
    out = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.random()
        if kind < 0.12:
            out.append(rng.choice(SPECIALS))
        elif kind < 0.3:
            out.append(rng.choice(WORDS))
        elif kind < 0.4:
            out.append(rng.choice(" \t\n\u00a0\u3000\u2028'") * rng.randint(1, 4))
        elif kind < 0.43:
            out.append(rng.choice("ab1.é語\u0301") * rng.randint(1, 130))
        else:
            low, high = rng.choice(RANGES)
            for _ in range(rng.randint(1, 12)):
                c = rng.randint(low, high)
                out.append(chr(c) if not 0xD800 <= c <= 0xDFFF else "?")
        if rng.random() < 0.5:
            out.append(" ")
    return "".join(out)


def texts(source, argument):
    if source == "lines":
        with open(argument, encoding="utf-8", newline="\n") as file:
            yield from (line.rstrip("\n") for line in file)
    elif source == "conll":
        words = []
        with open(argument, encoding="utf-8", newline="\n") as file:
            for line in file:
                word = line.rstrip("\n").split("\t")[0]
                if word:
                    words.append(word)
                elif words:
                    yield " ".join(words)
                    words = []
        if words:
            yield " ".join(words)
    elif source in ("random", "windows"):
        rng = random.Random(20240229)
        for _ in range(int(argument)):
            yield random_text(rng)
    elif source == "scalars":
        group = []
        for c in range(0, 0x110000, int(argument)):
            if not 0xD800 <= c <= 0xDFFF:
                group.append(f"a{chr(c)}b A{chr(c)}\u0323 {chr(c)}1")
            if len(group) == 16:
                yield " ".join(group)
                group = []
        yield " ".join(group)
    else:
        sys.exit(f"unknown source {source}")


def row(encoding):
    return {
        "ids": encoding.ids,
        "tokens": encoding.tokens,
        "offsets": [x for pair in encoding.offsets for x in pair],
        "words": [-1 if w is None else w for w in encoding.word_ids],
        "special": encoding.special_tokens_mask,
    }


def main():
    path, source, argument = sys.argv[1:4]
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    added = tokenizer.num_special_tokens_to_add(False)
    rng = random.Random(7)
    for text in texts(source, argument):
        out = {"text": text}
        if source == "windows":
            window = rng.randint(added + 1, added + 12)
            stride = rng.randint(0, window - added - 1)
            tokenizer.enable_truncation(window, stride=stride)
            encoding = tokenizer.encode(text)
            tokenizer.no_truncation()
            out |= {"window": window, "stride": stride, "count": len(tokenizer.encode(text).ids)}
            out["windows"] = [row(e) for e in [encoding] + encoding.overflowing]
        else:
            encoding = tokenizer.encode(text)
            out |= row(encoding)
            out["decoded"] = tokenizer.decode(encoding.ids)
            out["decodedAll"] = tokenizer.decode(encoding.ids, skip_special_tokens=False)
            shuffled = rng.sample(encoding.ids, len(encoding.ids))
            out["shuffled"] = shuffled
            out["decodedShuffled"] = tokenizer.decode(shuffled)
        print(json.dumps(out, ensure_ascii=False))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
