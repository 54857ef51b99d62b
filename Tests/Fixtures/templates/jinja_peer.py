"""Jinja2 set up as transformers does it for chat templates, with a fixed clock."""
import json
import warnings
from contextlib import contextmanager
from datetime import datetime

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Python warns of wrong templates; they are on purpose.
warnings.simplefilter("ignore")

NOW = datetime(2026, 3, 4, 15, 6, 7, 89)


class Refused(Exception):
    pass


def raise_exception(message):
    raise Refused(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(format):
    return NOW.strftime(format)


class AssistantTracker(Extension):
    tags = {"generation"}

    def __init__(self, environment):
        super().__init__(environment)
        self.blocks = []
        self.ranges = []

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_generation"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _generation(self, context, caller):
        text = caller()
        start = len("".join(self.blocks))
        self.ranges.append([start, start + len(text)])
        return text

    @contextmanager
    def tracking(self):
        self.blocks, self.ranges = [], []
        yield self.blocks, self.ranges


class TemplateDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class TemplateNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            TemplateNamespace.check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        TemplateNamespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[AssistantTracker, loopcontrols])
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals.update(
    raise_exception=raise_exception, strftime_now=strftime_now, dict=TemplateDict(), namespace=TemplateNamespace)
TRACKER = ENVIRONMENT.extensions[AssistantTracker.identifier]


def render(template, context):
    """The row of a fixture: what comes out, or why nothing does."""
    row = {"template": template, "context": context}
    try:
        compiled = ENVIRONMENT.from_string(template)
        with TRACKER.tracking() as (blocks, ranges):
            for block in compiled.generate(**context):
                blocks.append(block)
            row["output"] = "".join(blocks)
            if ranges:
                row["ranges"] = ranges
        row["output"].encode("utf-8")
    except Refused as error:
        row.pop("output", None)
        row["refused"] = str(error)
    except Exception as error:
        row.pop("output", None)
        row["error"] = f"{type(error).__name__}: {error}"[:200]
    return row
