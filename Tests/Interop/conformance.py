#!/usr/bin/env python3
"""Runs the conformance tests of Shared/RPC and prints a table: case, role of ours, result.

Usage: conformance.py [--log FILE] [ARGUMENT...]
Arguments go to `swift test`, such as `--scratch-path DIR`; with --log the table is made of the output
of a run that there was. LLMOS_H2SPEC names h2spec, where it is installed. Exits with 1 when a case
fails, and when there is none.
"""
import pathlib
import re
import subprocess
import sys

SUITES = {
    # Suites whose tests are cases by themselves, with the role that they are about.
    "HTTP2RulesTests": "server", "ServerRulesTests": "server", "ClientRulesTests": "client",
    "ServerCompressionTests": "server", "ClientCompressionTests": "client",
    "HostileServerTests": "client", "ProtocolTests": "server", "StatusDetailsTests": "both",
    "GRPCIOClientTests": "server", "GRPCIOServerTests": "client",
    # And those that print a row per case.
    "InteropTests": None, "NegativeHTTP2Tests": None, "H2SpecTests": None,
}
# What gRPC's list has beside these, and why it is not run.
SKIPPED = [
    ("compute_engine_creds, google_default_credentials, compute_engine_channel_credentials",
     "needs Google's cloud"),
    ("jwt_token_creds, oauth2_auth_token, per_rpc_creds", "needs a service account of Google's"),
    ("cacheable_unary by GET through a cache", "gRPC has no GET any more; run as a plain call"),
    ("long_lived_channel", "lasts for hours by its definition; rpc_soak is run"),
    ("pick_first_unary, orca_per_rpc, orca_oob", "of xDS and ORCA, which RPC does not have"),
]
ROW = re.compile(r"^conformance \| (.*) \| (client|server) \| (pass|fail.*)$")
SUITE = re.compile(r"Suite (\w+) (started|passed|failed|skipped)(?:: \"(.*)\")?")
TEST = re.compile(r"^\W+ Test (?!run )\"?(.+?)\"? (?:with \d+ test cases )?(passed|failed|skipped)(.*)$")


def roles():
    """The role that each test is about, by the suite in whose file it stands."""
    found = {}
    for path in pathlib.Path(__file__).parent.parent.glob("RPCTests/**/*.swift"):
        role = SUITES.get(path.stem)
        for name in re.findall(r"func `([^`]+)`", path.read_text(encoding="utf-8")):
            found[name] = role or found.get(name)
    return found


def table(lines):
    """The rows of a run: case, role, result."""
    rows, tests, role_of = [], [], roles()
    for line in lines:
        line = line.rstrip("\n")
        if match := ROW.match(line):
            rows.append(match.groups())
        elif match := TEST.match(line):
            name, result, rest = match.groups()
            cases = re.search(r"with (\d+) test cases", line)
            tests.append((name, result, int(cases[1]) if cases else 1, rest))
        elif (match := SUITE.search(line)) and match[2] == "skipped":
            rows.append((match[1], "-", f"skipped: {match[3] or 'no reason given'}"))
    for name, result, count, rest in tests:
        # Those without a role have printed a row for each of their cases.
        if result == "passed" and role_of.get(name) is None:
            continue
        text = name if count == 1 else f"{name} ({count} cases)"
        rows.append((text, role_of.get(name) or "both", "pass" if result == "passed" else f"{result}{rest}"))
    return rows


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--log"]:
        with open(arguments[1], encoding="utf-8", errors="replace") as file:
            rows, code = table(file), 0
    else:
        pattern = r"^RPCTests\.(" + "|".join(SUITES) + ")"
        run = subprocess.run(
            ["swift", "test", "--disable-xctest", "--filter", pattern] + arguments,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        rows, code = table(run.stdout.splitlines()), run.returncode
        if code and not rows:
            sys.stdout.write(run.stdout[-5000:])
    for case, reason in SKIPPED:
        rows.append((case, "both", "not run: " + reason))
    width = max(len(row[0]) for row in rows)
    for case, role, result in rows:
        print(f"{case:<{width}}  {role:<6}  {result}")
    failed = sum(row[2].startswith("fail") for row in rows)
    passed = sum(row[2] == "pass" for row in rows)
    print(f"{passed} passed, {failed} failed, {len(rows) - passed - failed} not run")
    sys.exit(1 if failed or not passed or code else 0)


main()
