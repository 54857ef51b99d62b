"""Random templates through Jinja2, right and wrong; JSON lines to standard output.

Usage: fuzz.py SEED COUNT (with the Python of the peers)
"""
import copy
import json
import random
import sys

from cases import CASES, CONTEXT
from jinja_peer import render
from models import MODELS

VARIABLES = ["n", "x", "s", "e", "none_", "t", "words", "nums", "mixed", "d", "users", "text", "uni", "missing", "a", "b", "loop",
             "loop.index", "loop.last", "users[0]", "users[1].name", "d.a", "words[0]", "ns", "ns.v", "shadow", "m"]
LITERALS = ["1", "0", "-3", "2.5", "1e3", "'a'", "'Ab c'", "''", "' x\\n'", "true", "false", "none", "[]", "{}", "()", "'é'", "'l'", "10", "'name'", "'1'"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "iterable",
         "sequence", "callable", "odd", "even", "lower", "upper", "filter", "test"]
TESTS_OF_ONE = ["sameas", "equalto", "eq", "ne", "lt", "gt", "le", "ge", "in", "divisibleby"]
FILTERS = ["trim", "length", "count", "upper", "lower", "title", "capitalize", "string", "list", "first", "last", "int", "float", "abs",
           "round", "sort", "reverse", "unique", "sum", "min", "max", "items", "dictsort", "tojson", "wordcount",
           "striptags", "urlencode", "indent", "d", "default", "join", "select", "reject", "batch", "nope", "center", "truncate"]
CALLS = ["join({e})", "default({e})", "default({e}, true)", "replace({e}, {e})", "replace({e}, {e}, {i})", "indent({i})", "indent({i}, true, true)",
         "select({t})", "reject({t})", "select('eq', {e})", "map({f})", "map(attribute={k})", "map(attribute={k}, default={e})", "selectattr({k})",
         "rejectattr({k})", "selectattr({k}, {t})", "selectattr({k}, 'eq', {e})", "groupby({k})", "sort(attribute={k})", "sort(reverse=true)",
         "sort(case_sensitive=true)", "unique({e})", "sum(attribute={k})", "sum(start={e})", "min(attribute={k})", "max({e})", "batch({i})",
         "batch({i}, {e})", "slice({i})", "slice({i}, {e})", "round({i})", "round({i}, 'floor')", "round({i}, 'ceil')", "int({e})", "int({e}, 16)", "float({e})",
         "tojson(indent={i})", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "dictsort(true)",
         "dictsort(by='value')", "dictsort(reverse=true)", "trim({e})", "truncate({i})", "truncate({i}, true, '', 0)", "center({i})", "format({e})",
         "format({e}, {e})", "attr({k})", "join({e}, {k})", "first", "list", "string", "items | list"]
METHODS = ["split()", "split({e})", "split({e}, {i})", "rsplit({e}, {i})", "strip()", "strip({e})", "lstrip()", "rstrip()", "startswith({e})",
           "endswith({e})", "replace({e}, {e})", "upper()", "lower()", "title()", "capitalize()", "swapcase()", "find({e})", "rfind({e}, {i})",
           "index({e})", "count({e})", "join({e})", "splitlines()", "format({e})", "isdigit()", "isalpha()", "isalnum()", "isspace()",
           "isupper()", "islower()", "istitle()", "zfill({i})", "ljust({i})", "rjust({i}, '.')", "center({i}, '*')", "partition({e})",
           "rpartition({e})", "removeprefix({e})", "removesuffix({e})", "items()", "keys()", "values()", "get({e})", "get({e}, {e})", "append({e})",
           "pop({e})", "nope", "name", "a", "items", "expandtabs()", "casefold()"]
LAZY = {"select", "reject", "selectattr", "rejectattr", "map", "batch", "slice", "unique", "items", "reverse"}
TEXT_FILTERS = ["trim", "upper", "lower", "title", "capitalize", "indent", "indent(2, true)", "truncate(9)", "striptags", "urlencode",
                "center(20)", "replace('l', 'LL')", "tojson", "default('q')", "first", "last", "truncate(8, true)", "wordcount", "string"]
FORMATS = ["'%s'", "'%d'", "'%5.2f'", "'%r'", "'%s %s'", "'%x'", "'%-6s|'", "'%05d'", "'%g'", "'%e'", "'%(a)s'", "'%%'", "'%c'", "'%+d'", "'%.3s'", "'%10r'"]
STR_FORMATS = ["'{}'", "'{:>8}'", "'{:^8}'", "'{!r}'", "'{:.2f}'", "'{:d}'", "'{:,}'", "'{0}{0}'", "'{:08.3f}'", "'{:e}'", "'{:g}'", "'{:x}'", "'{[0]}'", "'{:.3}'", "'{:+}'", "'{:%}'", "'{:*<7}'"]


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.loops = 0

    def pick(self, options):
        return self.rng.choice(options)

    def name(self):
        return self.pick(["a", "b", "m", "shadow", "x", "n"])

    def fill(self, pattern, depth, make=None):
        make = make or self.expression
        while "{" in pattern:
            pattern = pattern.replace("{e}", make(depth).replace("{", "\0").replace("}", "\1"), 1)
            pattern = pattern.replace("{i}", self.pick(["0", "1", "2", "3", "5", "-1", "8", "n"]), 1)
            pattern = pattern.replace("{t}", repr(self.pick(TESTS)), 1)
            pattern = pattern.replace("{f}", repr(self.pick(FILTERS)), 1)
            pattern = pattern.replace("{k}", self.pick(["'name'", "'age'", "'tags'", "'address.city'", "'active'", "0", "'a'", "'1'"]), 1)
        return pattern.replace("\0", "{").replace("\1", "}")

    def variable(self):
        while True:
            name = self.pick(VARIABLES)
            if self.loops or not name.startswith("loop") or self.rng.random() < 0.02:
                return name

    def text(self, depth):
        """An expression that is probably a string."""
        if depth <= 0:
            return self.pick(["s", "text", "uni", "words[0]", "users[1].name", "'a'", "'Ab c'", "' x\\n'", "'l'", "'1.50'", "''", "e"])
        e = lambda: self.text(depth - 1)
        return self.pick([
            lambda: f"{e()} ~ {self.expression(depth - 1)}", lambda: f"{e()} + {e()}", lambda: f"{e()} | {self.pick(TEXT_FILTERS)}",
            lambda: f"({e()}).{self.fill(self.pick(METHODS[:40]), 0, self.text)}", lambda: f"({e()})[{self.pick(['1:', ':-1', '::-1', '0', '-3:', '::2'])}]",
            lambda: f"{self.items(depth - 1)} | join({e()})", lambda: f"{self.expression(depth - 1)} | string", lambda: f"{self.expression(depth - 1)} | tojson",
            lambda: f"{e()} | {self.fill('replace({e}, {e})', 0, self.text)}", lambda: f"{self.pick(STR_FORMATS)}.format({self.pick([self.text, self.number])(depth - 1)})",
            lambda: f"{self.pick(FORMATS)} % ({self.pick([self.text, self.number])(depth - 1)},)", lambda: f"({e()} if {self.expression(depth - 1)} else {e()})"])()

    def number(self, depth):
        if depth <= 0:
            return self.pick(["n", "x", "1", "0", "-3", "2.5", "nums[0]", "d.a", "t", "words | length", "1e15", "0.1", "123456789"] + (["loop.index", "loop.revindex0"] if self.loops else []))
        e = lambda: self.number(depth - 1)
        return self.pick([
            lambda: f"{e()} {self.pick(['+', '-', '*', '/', '//', '%'])} {e()}", lambda: f"({e()}) | {self.pick(['abs', 'int', 'float', 'round', 'round(1)', 'round(-1)', 'round(2, ' + chr(39) + 'ceil' + chr(39) + ')'])}",
            lambda: f"-{e()}", lambda: f"({self.text(depth - 1)}) | length", lambda: f"({self.text(depth - 1)}).find({self.text(0)})", lambda: f"nums | {self.pick(['sum', 'min', 'max'])}",
            lambda: f"({e()}) ** {self.pick(['2', '0', '-1'])}", lambda: f"({self.text(depth - 1)}) | {self.pick(['int', 'float', 'wordcount'])}"])()

    def consumed(self):
        """Python writes iterators with their addresses: most are gone through at once."""
        return self.pick([" | list", " | list", " | list", " | join(',')", " | first", " | length", " | list | tojson"])

    def items(self, depth):
        """An expression that is probably a list."""
        if depth <= 0:
            return self.pick(["words", "nums", "users", "mixed", "tree", "[1, 'b', none]", "d", "range(4)", "[]", "(1, 2)", "s", "users[0].tags"])
        e = lambda: self.items(depth - 1)
        return self.pick([
            lambda: f"({e()}) | {self.pick(['list', 'reverse', 'unique', 'sort', 'select', 'reject', 'first', 'last', 'items', 'dictsort'])}{self.consumed()}",
            lambda: f"({e()}) | {self.fill(self.pick(CALLS[7:31]), 0)}{self.consumed()}", lambda: f"({e()} if t else none)[{self.pick(['1:', ':-1', '::-1', '-3:', '::2', '3:0:-1'])}]",
            lambda: f"({e()} | list) + {self.pick(['[1]', 'words', '(1,)'])}", lambda: f"({self.text(depth - 1)}).split({self.pick(['', self.text(0)])})",
            lambda: f"[{self.expression(depth - 1)}, {self.text(depth - 1)}]", lambda: f"d.{self.pick(['items()', 'keys()', 'values()'])}" if False else "d.keys() | list",
            lambda: f"(users | map(attribute={self.pick([chr(39) + k + chr(39) for k in ('name', 'age', 'active', 'address.city', 'tags')])}) | list)"])()

    def expression(self, depth):
        if depth <= 0:
            return self.variable() if self.rng.random() < 0.6 else self.pick(LITERALS)
        if self.rng.random() < 0.72:
            return self.pick([self.text, self.number, self.items])(depth)
        e = lambda: self.expression(depth - 1)
        kind = self.rng.randrange(24)
        if kind < 3:
            return f"{e()} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {e()}"
        if kind == 3:
            return f"{e()} ** {self.pick(['2', '0', '-1', '3'])}"
        if kind < 6:
            return f"{e()} {self.pick(['==', '!=', '<', '>', '<=', '>=', 'in', 'not in'])} {e()}"
        if kind == 6:
            return f"{e()} {self.pick(['and', 'or'])} {e()}"
        if kind == 7:
            return f"{self.pick(['not ', '-', '+', 'not not '])}{e()}"
        if kind == 8:
            return f"({e()} if {e()} else {e()})" if self.rng.random() < 0.7 else f"({e()} if {e()})"
        if kind == 9:
            return self.pick([lambda: f"[{e()}, {e()}]", lambda: f"({e()}, {e()})", lambda: f"{{'k': {e()}, {e()}: {e()}}}", lambda: f"({e()},)"])()
        if kind == 10:
            return f"({e()})[{self.pick(['0', '-1', '1', 'true', chr(39) + 'a' + chr(39), chr(39) + 'name' + chr(39), 'n', '1.0'])}]"
        if kind == 11:
            # Of variables: Jinja folds slices of constants by other rules than it runs them by.
            part = lambda: self.pick(["", "1", "-1", "2", "-3", "0", "none", "99"])
            return f"{self.pick(['words', 's', 'nums', 'x', 'missing', 'uni', 'd', 'a'])}[{part()}:{part()}{self.pick(['', ':', ':-1', ':2', ':-2'])}]"
        if kind < 15:
            name = self.pick(FILTERS)
            return f"({e()}) | {name}" + (self.consumed() if name in LAZY else "")
        if kind < 18:
            pattern = self.pick(CALLS)
            return f"({e()}) | {self.fill(pattern, depth - 2)}" + (self.consumed() if pattern.split("(")[0] in LAZY else "")
        if kind < 20:
            return f"({e()}).{self.fill(self.pick(METHODS), depth - 2)}"
        if kind == 20:
            return f"({e()} is {self.pick(['', 'not '])}{self.pick(TESTS)})"
        if kind == 21:
            return f"({e()} is {self.pick(TESTS_OF_ONE)}({e()}))"
        if kind == 22:
            if self.rng.random() < 0.5:
                return f"{self.pick(FORMATS)} % {e()}"
            return f"{self.pick(STR_FORMATS)}.format({e()})"
        return self.fill(self.pick(["range({i})", "range({i}, {i}) | list", "dict(a={e})", "f({e})", "f({e}, b={e})", "g()", "namespace(v={e}).v",
                                    "loop.cycle({e}, {e})", "loop.changed({e})", "loop.previtem", "loop.nextitem", "loop.length", "loop.revindex"]), depth - 1)

    def space(self):
        return self.pick(["", "", "", " ", "\n", "  \n  ", "\n\n", " t ", "\t", "\r\n"])

    def block(self, body):
        return self.space() + "{%" + self.pick(["", "", "-", "+"]) + f" {body} " + self.pick(["", "", "-", "+"]) + "%}" + self.space()

    def statements(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randint(1, 2)))

    def statement(self, depth):
        kind = self.rng.random()
        e = lambda n=2: self.expression(self.rng.randint(min(n, 1), n))
        if kind < 0.45 or depth <= 0:
            return self.space() + "{{" + self.pick(["", "-"]) + f" {e(3)} " + self.pick(["", "-"]) + "}}"
        if kind < 0.48:
            return self.space() + "{#" + self.pick(["", "-"]) + " c " + self.pick(["", "-", "+"]) + "#}" + self.space()
        if kind < 0.58:
            return self.block(f"set {self.name()} = {e()}") if self.rng.random() < 0.8 else self.block(f"set ns.v = {e()}")
        if kind < 0.70:
            out = self.block(f"if {e()}") + self.statements(depth - 1)
            if self.rng.random() < 0.3:
                out += self.block(f"elif {e()}") + self.statements(depth - 1)
            if self.rng.random() < 0.5:
                out += self.block("else") + self.statements(depth - 1)
            return out + self.block("endif")
        if kind < 0.84:
            sequence = self.items(self.rng.randint(0, 2)) if self.rng.random() < 0.9 else self.pick(["missing", e(1), "nums | select"])
            condition = self.pick(["", "", f" if {e(1)}"])
            self.loops += 1
            body = self.statements(depth - 1)
            if self.rng.random() < 0.2:
                body += self.block(f"if {e(1)}") + self.block(self.pick(["break", "continue"])) + self.block("endif") + self.statements(depth - 1)
            self.loops -= 1
            other = self.block("else") + self.statements(depth - 1) if self.rng.random() < 0.2 else ""
            targets = "m" if self.rng.random() < 0.93 else "a, b"
            return self.block(f"for {targets} in {sequence}{condition}") + body + other + self.block("endfor")
        if kind < 0.88:
            return self.block(f"macro {self.pick(['f', 'g'])}({self.pick(['', 'a', 'a, b=2', 'a=1, b=a'])})") + self.statements(depth - 1) + self.pick(["", "{{ caller() if caller }}", "{{ varargs }}{{ kwargs }}"]) + self.block("endmacro")
        if kind < 0.90:
            return self.block(f"call f({e(1)})") + self.statements(depth - 1) + self.block("endcall")
        if kind < 0.92:
            return self.block(f"set {self.name()}") + self.statements(depth - 1) + self.block("endset")
        if kind < 0.94:
            return self.block(f"filter {self.pick(['upper', 'trim', 'replace(1, 2)', 'length', 'title | trim'])}") + self.statements(depth - 1) + self.block("endfilter")
        if kind < 0.96:
            return self.block(f"with {self.name()} = {e(1)}") + self.statements(depth - 1) + self.block("endwith")
        if kind < 0.98:
            return self.block("generation") + self.statements(depth - 1) + self.block("endgeneration")
        return self.space() + "{% raw %} {{ x }} {% endraw %}" + self.space()

    def template(self):
        if self.rng.random() < 0.08:
            return self.mutated()
        head = "{% set ns = namespace(v=1) %}{% macro f(a, b=1) %}{{ a }}{{ b }}{{ caller(a) if caller }}{% endmacro %}" if self.rng.random() < 0.8 else ""
        return head + self.statements(self.rng.randint(1, 3))

    def mutated(self):
        """A written template with small damage."""
        text = self.pick(CASES)
        for _ in range(self.rng.randint(1, 3)):
            index = self.rng.randrange(len(text) + 1)
            if self.rng.random() < 0.5:
                text = text[:index] + text[index + 1:]
            else:
                text = text[:index] + self.pick(["{", "}", "%", "'", "(", ")", "[", "]", "|", ".", "-", " ", "x", "1", "\n", "~", ",", ":", "is", "not "]) + text[index:]
        return text


def is_comparable(row):
    """Python writes addresses of objects, which nothing can equal, and lone surrogates."""
    output = row.get("output", "")
    return " at 0x" not in output and "surrogates not allowed" not in row.get("error", "")


def main(seed, count):
    sys.stdout.reconfigure(encoding="utf-8")
    rng = random.Random(seed)
    generator = Generator(rng)
    print(json.dumps({"context": CONTEXT}, ensure_ascii=False))
    written = 0
    while written < count:
        # A filter of Jinja adds to lists in place.
        row = render(generator.template(), copy.deepcopy(CONTEXT))
        del row["context"]
        if is_comparable(row):
            print(json.dumps(row, ensure_ascii=False))
            written += 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
