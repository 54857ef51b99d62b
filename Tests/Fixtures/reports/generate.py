"""Reports of seqeval and scikit-learn on random tag sequences, for Tests/ReportsTests.

Usage: generate.py SEED COUNT [SEQUENCES]   Writes one JSON object per line, with at most SEQUENCES sequences each. The
committed golden.jsonl is `generate.py 1 10 3`.
Needs seqeval and scikit-learn.
"""
import json
import random
import sys
import warnings

from seqeval.metrics import accuracy_score, classification_report as entity_report
from sklearn.metrics import classification_report as tag_report, confusion_matrix

warnings.simplefilter("ignore")
TYPES = ["PER", "LOC", "ORG", "MISC", "event-name", "Ä", "A\u030a", "\u00c5", "a very long name of a type", "_", "été"]
ODD = ["B", "I", "X", "BPER", "PER", "O-PER", "B-", "I-", "I--", "B-A-B", ".", ".-PER", "X-LOC", "o", "b-PER", "E", "S",
       "\U0001f600-LOC", "-LOC", "O-", "L-PER"]


def sequence(scheme, types, length, rng):
    """A sequence that follows a scheme, but for a few tags."""
    tags = []
    while len(tags) < length:
        if rng.random() < 0.5:
            tags.append("O")
            continue
        kind, n = rng.choice(types), min(rng.choice([1, 1, 2, 3]), length - len(tags))
        if scheme == "IOB2":
            tags += ["B-" + kind] + ["I-" + kind] * (n - 1)
        elif scheme == "IOB1":
            begins = bool(tags) and tags[-1][2:] == kind
            tags += ["B-" + kind if begins else "I-" + kind] + ["I-" + kind] * (n - 1)
        else:
            tags += ["S-" + kind] if n == 1 else ["B-" + kind] + ["I-" + kind] * (n - 2) + ["E-" + kind]
    return tags


def corrupted(tags, alphabet, share, rng):
    return [rng.choice(alphabet) if rng.random() < share else tag for tag in tags]


def case(number, sequences_max, rng):
    scheme = ["IOB1", "IOB2", "IOBES"][number % 3]
    types = rng.sample(TYPES, rng.choice([1, 2, 4, 9]))
    count = min(rng.choice([1, 3, 10, 40]), sequences_max)
    true = [sequence(scheme, types, rng.choice([0, 1, 2, 7, 25]), rng) for _ in range(count)]
    marks = {"IOB1": "BI", "IOB2": "BI", "IOBES": "BIES"}[scheme]
    alphabet = ["O"] + [m + "-" + t for t in types for m in marks]
    kind = rng.choice(["noise", "noise", "much noise", "odd", "odd truth", "none", "unknown", "perfect"])
    if kind == "odd truth":
        true = [corrupted(s, ODD + alphabet, 0.3, rng) for s in true]
    share = {"noise": 0.1, "much noise": 0.6, "odd": 0.3, "odd truth": 0.2, "unknown": 0.3}.get(kind, 0)
    extra = {"odd": ODD, "odd truth": ODD, "unknown": ["B-NEW", "I-NEW", "S-OTHER"]}.get(kind, [])
    predicted = [corrupted(s, alphabet + extra, share, rng) for s in true]
    if kind == "none":
        predicted = [["O"] * len(s) for s in true]
    return {"scheme": scheme, "kind": kind, "true": true, "predicted": predicted}


def reports(row, rng):
    true, predicted = row["true"], row["predicted"]
    digits = rng.choice([0, 2, 3, 4, 6, 13])
    row["digits"] = digits
    try:
        row["entities"] = entity_report(true, predicted, digits=digits)
        row["entitiesByName"] = entity_report(true, predicted, output_dict=True)
    except ValueError:  # no entity at all
        row["entities"] = None
    flat_true = [t for s in true for t in s]
    flat_predicted = [t for s in predicted for t in s]
    if not flat_true:
        return row
    row["accuracy"] = accuracy_score(true, predicted)
    row["tags"] = tag_report(flat_true, flat_predicted, digits=digits, zero_division=0)
    row["tagsByName"] = tag_report(flat_true, flat_predicted, output_dict=True, zero_division=0)
    seen = sorted(set(flat_true) | set(flat_predicted))
    row["labels"] = [l for l in seen if l != "O"] + (["B-ABSENT"] if rng.random() < 0.3 else [])
    if row["labels"]:
        row["labelled"] = tag_report(flat_true, flat_predicted, digits=digits, zero_division=0, labels=row["labels"])
    row["confusion"] = confusion_matrix(flat_true, flat_predicted).tolist()
    row["seen"] = seen
    return row


def plain(value):
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    rng = random.Random(int(sys.argv[1]))
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 40
    for number in range(int(sys.argv[2])):
        print(json.dumps(reports(case(number, most, rng), rng), default=plain, ensure_ascii=True))
