"""Renders chat templates with Jinja2 as transformers sets it up; JSON lines to standard output.

Usage: jinja.py cases | random COUNT
"""
import json
import random
import sys
import warnings

from jinja2.sandbox import ImmutableSandboxedEnvironment


# Python warns of wrong templates; they are on purpose.
warnings.simplefilter("ignore")


class Refused(Exception):
    pass


def raise_exception(message):
    raise Refused(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENVIRONMENT = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals["raise_exception"] = raise_exception

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}
CONVERSATIONS = [
    [{"role": "user", "content": "Hi"}],
    [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": "What's \"up\", Zoë?\t\n"},
        {"role": "assistant", "content": "e\u0301 \u2028<b>\u0001\\"},
        {"role": "user", "content": ""},
    ],
    [],
]

CASES = [
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "{%- if messages and messages[0]['role'] == 'system' -%}\n  {%- set system = messages[0].content | trim -%}\n  {%- set rest = messages[1:] -%}\n{%- else -%}\n  {%- set system = '' -%}{%- set rest = messages -%}\n{%- endif -%}\n<<{{ system }}>>\n{%- for m in rest %}\n  {{ loop.index }}/{{ loop.length }} {{ m.role | upper }}: {{ m.content | trim }}{{ ',' if not loop.last }}\n{%- endfor %}\n",
    "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% endif %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.found }} {{ ns.n }}",
    "{% set x = 0 %}{% for m in messages %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if true -%}\n  b\n  {%- endif -%}\nc\n",
    "a  {% if true %}  b  {% endif %}  c",
    "  {% if true %}\n\n x {% endif %}\n\n",
    "  {{ 1 }}  \n  {{- 2 -}}  \n 3\n",
    "x {#- note -#} y {# note #}\nz\n  {# note #}\nw",
    "\r\n a \r b \r\n{% if true %}\r\n c{% endif %}\r\n",
    "{%+ if true %} a {%+ endif +%}\n b",
    "   {%+ if true %}a{% endif %}",
    "{{ [1, 2.5, 'a', \"it's\", none, true, [], {}] }}",
    "{{ {'a': 1, 'b': [true, 'x\\ny'], 'a': 3} }}",
    "{{ messages | tojson }}",
    "{{ messages | tojson(indent=2) }}",
    "{{ {'a': [], 'b': {}, 'c': [1]} | tojson(indent=4) }}",
    "{{ none }} {{ true }} {{ false }} {{ 1.0 }} {{ -3 }} {{ 'a' ~ 1 ~ none ~ true ~ [1] }}",
    "{{ missing }}|{{ messages[99] }}|{{ messages[0].missing }}|{{ missing is defined }}|{{ missing is none }}|{{ none is none }}|{{ 'a' is string }}|{{ 1 is string }}",
    "{{ missing is not defined }} {{ tools is not none }} {{ documents is none }} {{ messages is iterable }} {{ messages is mapping }} {{ {} is mapping }} {{ 1 is number }} {{ true is boolean }}",
    "{{ missing | default('d') }} {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | d('e', boolean=true) }}",
    "{{ missing.deeper }}",
    "{{ missing + 'a' }}",
    "{{ 'a' + 1 }}",
    "{{ 1 + none }}",
    "{{ 1 < 'a' }}",
    "{{ none in 'abc' }}",
    "{{ 1 / 0 }}",
    "{{ 1 // 0 }}",
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 * 3 + 4 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ 7.5 // 2 }} {{ 7.5 % 2 }}",
    "{{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ [1, 'a'] == [1, 'a'] }} {{ {'a': 1} == {'a': 1.0} }} {{ none == false }} {{ missing == missing2 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 }} {{ 'a' < 'b' }} {{ 'a' <= 'a' }} {{ 'B' < 'a' }}",
    "{{ 'b' in 'abc' }} {{ 'x' not in 'abc' }} {{ '' in 'abc' }} {{ 'user' in ['user', 1] }} {{ 'role' in messages[0] }} {{ 1.0 in [1] }} {{ 'aab' in 'aaab' }} {{ 'abab' in 'abacababc' }}",
    "{{ not true or true }} {{ not (true or true) }} {{ true and '' }} {{ '' or 'x' }} {{ 1 and 2 or 3 }} {{ not 'a' in 'abc' }}",
    "{{ 'a' if true else 'b' }} {{ 'a' if false else 'b' }} {{ 'a' if false }} {{ 'a' if false else 'b' if false else 'c' }}",
    "{{ 'abc'[0] }} {{ 'abc'[-1] }} {{ 'abc'[1:] }} {{ 'abc'[:-1] }} {{ 'abc'[5:] }} {{ [1,2,3][-2:] }} {{ [1,2,3][:2] }} {{ 'abc'[2:1] }}",
    "{{ 'Straße' | upper }} {{ 'ÀÉ' | lower }} {{ ' \t x \n' | trim }}| {{ 5 | trim }} {{ 'abc' | length }} {{ 'e\u0301' | length }} {{ messages | length }} {{ {} | count }} {{ missing | length }}",
    "{{ ['a', 1, none] | join(', ') }} {{ 'abc' | join('-') }} {{ [] | join('x') }} {{ [1, 2] | join }} {{ missing | join(',') }}",
    "{{ ['a', 'b'] | first }} {{ ['a', 'b'] | last }} {{ [] | first }} {{ 'xyz' | last }} {{ 12 | string }}",
    "{{ '  x '.strip() }}|{{ '  x '.lstrip() }}|{{ '  x '.rstrip() }}|{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.upper() }} {{ messages[0].get('role') }} {{ messages[0].get('x') }} {{ messages[0].get('x', 'y') }}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for c in 'xyz' %}{{ c }}.{% endfor %}",
    "{% for x in [] %}a{% else %}empty{% endfor %}{% for x in missing %}a{% else %}empty{% endfor %}",
    "{% for x in [1,2,3,4] if x % 2 == 0 %}{{ loop.index }}:{{ x }}:{{ loop.first }}:{{ loop.last }} {% else %}none{% endfor %}",
    "{% for x in ['a','b','c'] %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.nextitem }}{% for y in [1,2] %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in none %}a{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{{ b }}{% endfor %}",
    "{% set x %}a{{ 1 + 1 }}\n{% endset %}[{{ x }}]{{ x | length }}",
    "{% if messages[0] is defined and messages[0].content is string %}yes{% else %}no{% endif %}",
    "{{ 'a\\n\\t\\\\\\'\\x41\\u00e9\\q' }}{{ \"b'\" 'c' }}",
    "{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}}.a.b }}{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ raise_exception('no') }}",
    "{{ 'a' | trim | upper ~ 'b' }} {{ 1 + 2 ~ 3 }} {{ -1 + 2 }} {{ - 2 * 3 }}",
    "{{ 'a' is defined and missing is undefined }} {{ not missing is defined }}",
    "{% if false %}{{ missing.x.y }}{% elif 1 %}ok{% endif %}",
    "{{ messages }}",
    "{{ loop }}",
    "{% for m in messages %}{{ loop.missing }}{% endfor %}ok",
    "{{ x.y.z if x is defined else 'none' }}",
    "{{ [[1, [2]], {'k': \"q'\\\"\"}] }}",
    "{{",
    "{% if %}{% endif %}",
    "{% for x in %}{% endfor %}",
    "{% endif %}",
    "{% if true %}",
    "{{ 1 2 }}",
    "{{ (1 }}",
    "{{ 'a }}",
    "{# open",
    "{% unknown %}",
    "{{ 'a' | unknown }}",
    "{{ 'a' is unknown }}",
    "} } %} }} #} { % a",
]


class Generator:
    """Random templates of what the interpreter supports, right and wrong."""

    def __init__(self, rng):
        self.rng = rng

    def pick(self, *options):
        return self.rng.choice(options)

    def expression(self, depth):
        r = self.rng
        if depth <= 0:
            return self.pick(
                "1", "0", "-2", "2.5", "'a'", "'Ab c'", "''", "' x\\n'", "true", "false", "none", "messages",
                "messages[0]", "m", "m.role", "m['content']", "x", "y", "missing", "loop.index", "loop.last", "[]",
                "bos_token", "messages[-1].content", "add_generation_prompt", "'é'")
        e = lambda: self.expression(depth - 1)
        return self.pick(
            lambda: f"{e()} + {e()}", lambda: f"{e()} ~ {e()}", lambda: f"{e()} {self.pick('==', '!=', '<', '>', '<=', '>=')} {e()}",
            lambda: f"({e()})", lambda: f"{e()} {self.pick('and', 'or')} {e()}", 
            # In brackets: elsewhere Jinja takes "not" for a variable.
            lambda: f"(not {e()})",
            lambda: f"{e()} {self.pick('in', 'not in')} {e()}", lambda: f"({e()} if {e()} else {e()})",
            lambda: f"[{e()}, {e()}]", lambda: f"{{'k': {e()}, 'role': {e()}}}", lambda: f"({e()}).role",
            lambda: f"({e()})[{self.pick('0', '-1', '1', chr(39) + 'k' + chr(39))}]", 
            # Of names: Jinja folds slices of constants by other rules than it runs them by.
            lambda: f"{self.pick('messages', 'x', 'bos_token', 'm.role', 'missing')}[{self.pick('1:', ':1', ':-1', '0:2')}]",
            lambda: f"{e()} | {self.pick('trim', 'length', 'upper', 'lower', 'string', 'tojson', 'first', 'last')}",
            lambda: f"({e()}) | default({e()})", lambda: f"({e()}) | join({self.pick(chr(39) + ',' + chr(39), '1')})",
            # In brackets: Jinja takes some words after a test for its argument.
            lambda: f"({e()} is {self.pick('', 'not ')}{self.pick('defined', 'none', 'string', 'undefined', 'mapping', 'number', 'sequence', 'iterable', 'boolean')})",
            lambda: f"{e()} {self.pick('-', '*', '//', '%')} {self.pick('1', '2', '0', '1.5')}",
            lambda: f"'abcabd'.{self.pick('startswith', 'endswith')}({e()})", lambda: f"({e()}).strip()",
        )()

    def space(self):
        return self.pick("", "", " ", "\n", "  \n  ", "\n\n", " t ", "\t")

    def block(self, body):
        return self.space() + "{%" + self.pick("", "", "-", "+") + f" {body} " + self.pick("", "", "-") + "%}" + self.space()

    def statements(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randint(1, 3)))

    def statement(self, depth):
        kind = self.rng.random()
        if kind < 0.4 or depth <= 0:
            return self.space() + "{{" + self.pick("", "-") + f" {self.expression(self.rng.randint(0, 3))} " + self.pick("", "-") + "}}"
        if kind < 0.5:
            return self.space() + "{#" + self.pick("", "-") + " c " + self.pick("", "-") + "#}" + self.space()
        if kind < 0.65:
            return self.block(f"set {self.pick('x', 'y')} = {self.expression(2)}")
        if kind < 0.85:
            out = self.block(f"if {self.expression(2)}") + self.statements(depth - 1)
            if self.rng.random() < 0.5:
                out += self.block("else") + self.statements(depth - 1)
            return out + self.block("endif")
        sequence = self.pick("messages", "[1, 2, 3]", "'ab'", "missing", "x", "messages[1:]")
        condition = self.pick("", "", f" if {self.expression(1)}")
        return self.block(f"for m in {sequence}{condition}") + self.statements(depth - 1) + self.block("endfor")


def render(template, messages, add_generation_prompt):
    row = {"template": template, "messages": messages, "prompt": add_generation_prompt}
    try:
        row["output"] = ENVIRONMENT.from_string(template).render(
            messages=messages, add_generation_prompt=add_generation_prompt, tools=None, documents=None, **SPECIALS)
    except Refused as error:
        row["refused"] = str(error)
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    if sys.argv[1] == "cases":
        for case in CASES:
            for conversation in CONVERSATIONS:
                render(case, conversation, len(conversation) != 4)
    else:
        rng = random.Random(77)
        generator = Generator(rng)
        for _ in range(int(sys.argv[2])):
            render(generator.statements(3), rng.choice(CONVERSATIONS), rng.random() < 0.5)
