"""Writes the golden files of chat templates with Jinja2: cases.json and models.json.

Usage: make_fixtures.py (with the Python of the peers)
"""
import copy
import json
import pathlib

from cases import CASES, CONTEXT
from jinja_peer import render
from models import MODELS

FOLDER = pathlib.Path(__file__).parent


def write(name, rows):
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")
    print(f"{name}: {len(text.encode())} bytes")


def result(row):
    return {key: row[key] for key in ("output", "refused", "error", "ranges") if key in row}


cases = [{"template": case, **result(render(case, copy.deepcopy(CONTEXT)))} for case in CASES]
write("cases.json", {"context": CONTEXT, "cases": cases})
models = []
for name, template, contexts in MODELS:
    rows = [{"context": context, **result(render(template, copy.deepcopy(context)))} for context in contexts]
    models.append({"name": name, "template": template, "rows": rows})
write("models.json", models)
print(sum("error" in case for case in cases), "cases of", len(cases), "are errors;",
      sum(len(model["rows"]) for model in models), "conversations,",
      [(model["name"], row.get("error") or row.get("refused")) for model in models for row in model["rows"] if "output" not in row])
