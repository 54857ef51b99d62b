"""Prometheus on a running suite: its configuration, rules and alerts, and the queries of the dashboard."""

import json
import math
import re
import shutil
import socket
import subprocess
import time

import pytest
import requests
from conftest import ROOT, eventually, golden
from test_training import import_places

MONITORING = ROOT / "deploy" / "monitoring"
SERVICES = ["gateway", "tokenizer", "inference", "training", "data"]

# Our metrics and what rules record, wherever they stand in a query.
METRIC = re.compile(r"\b(?:(?:vllm|llmos|job|model|route):\w+(?::\w+)?|(?:llmos|gateway|grpc_server|process)_\w+|up)\b")


def tool(name):
    return shutil.which(name) or pytest.skip(f"{name} is not installed (Debian package prometheus)")


def promtool(*arguments):
    result = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, cwd=MONITORING)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_configuration_and_the_rules_are_valid():
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "rules.yml")


def test_the_alerts_come_when_they_should():
    promtool("test", "rules", "rules_test.yml")


def rules():
    yaml = pytest.importorskip("yaml")
    return [rule for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"] for rule in group["rules"]]


def test_every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do_and_is_tested():
    tests = (MONITORING / "rules_test.yml").read_text()
    for alert in [rule for rule in rules() if "alert" in rule]:
        name = alert["alert"]
        assert alert["labels"]["severity"] in ["critical", "warning", "info"], name
        assert alert["annotations"]["summary"] and alert["annotations"]["description"] and "for" in alert, name
        assert f"alertname: {name}\n" in tests, f"{name} is not tested"


def exposed(suite, service):
    return requests.get(f"http://127.0.0.1:{suite.ports(service)['admin']}/metrics", timeout=10)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_exposes_metrics_that_prometheus_clients_read(suite, service):
    parser = pytest.importorskip("prometheus_client.parser")
    response = exposed(suite, service)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parser.text_string_to_metric_families(response.text)}
    for name, family in families.items():
        assert family.documentation and family.type in ["counter", "gauge", "histogram"], name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name == f"{name}_total" and sample.value >= 0
        if family.type == "histogram":
            check_histogram(family)
    assert families["llmos_ready"].samples[0].value == 1
    assert {"process_resident_memory_bytes", "grpc_server_handled", "grpc_server_handling_seconds"} <= set(families)


def check_histogram(family):
    """Buckets do not fall, and the last one is the count."""
    series = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        entry = series.setdefault(labels, {"buckets": []})
        if sample.name.endswith("_bucket"):
            entry["buckets"].append((float(sample.labels["le"]), sample.value))
        else:
            entry[sample.name.removeprefix(family.name)] = sample.value
    for entry in series.values():
        counts = [count for _, count in sorted(entry["buckets"])]
        assert counts == sorted(counts) and counts[-1] == entry["_count"] and "_sum" in entry
        assert entry["buckets"][-1][0] == math.inf


def chat(suite, **changes):
    conversation = golden("support-chat")["conversations"][0]
    body = {"model": "support-chat", "messages": conversation["messages"], "temperature": 0, "max_tokens": 40}
    return requests.post(f"{suite.url}/v1/chat/completions", json={**body, **changes}, timeout=60)


def ner(suite):
    body = {"model": "ner-wikiann", "inputs": "Angela Merkel visited the Siemens plant in Munich."}
    return requests.post(f"{suite.url}/v1/ner", json=body, timeout=60)


class Prometheus:
    """A Prometheus with the project's configuration, a copy of it with a suite's ports and short intervals."""

    def __init__(self, folder, suite):
        yaml = pytest.importorskip("yaml")
        configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        for job in configuration["scrape_configs"]:
            service = job["job_name"].removeprefix("llmos-")
            job["static_configs"] = [{"targets": [f"127.0.0.1:{suite.ports(service)['admin']}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        shutil.copy(MONITORING / "rules.yml", folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "prometheus.log"
        self.began = time.time()
        command = [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                   f"--web.listen-address=127.0.0.1:{port}"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self.is_ready, "Prometheus to be ready")

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path, **parameters):
        response = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert response.status_code == 200, f"{path} {parameters}: {response.text}"
        return response.json()["data"]

    def has_numbers(self, query):
        """Whether the query had a number at any time since the start."""
        query = query.replace("$__rate_interval", "10s").replace("$model", ".*")
        series = self.get("query_range", query=query, start=self.began, end=time.time(), step=1)["result"]
        return any(math.isfinite(float(value)) for one in series for _, value in one["values"])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def watched(own_module_suite, tmp_path_factory):
    """A suite and a Prometheus that scrapes it."""
    tool("prometheus")
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), own_module_suite)
    yield own_module_suite, prometheus
    prometheus.stop()


@pytest.fixture(scope="module")
def used(watched, tmp_path_factory):
    """The same, after a training job whose model takes the place of one in use."""
    suite, prometheus = watched
    assert chat(suite).status_code == 200 and ner(suite).status_code == 200
    assert suite.llmos("models", "show", "no-such-model", check=False).returncode != 0
    import_places(suite, tmp_path_factory.mktemp("trips"))
    suite.llmos("train", "ner", "--data", "trips", "--base", "ner-wikiann", "--model", "ner-wikiann", "--set", "epochs=1")
    suite.llmos("models", "promote", "ner-wikiann@2")
    return suite, prometheus


def test_prometheus_scrapes_all_five_services_and_loads_the_rules(watched):
    _, prometheus = watched

    def all_up():
        targets = prometheus.get("targets")["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"} == {
            f"llmos-{service}" for service in SERVICES}

    eventually(all_up, "all five services to be scraped")

    def evaluated():
        loaded = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in loaded} == {rule.get("alert") or rule["record"] for rule in rules()}
        assert not [rule for rule in loaded if rule["health"] == "err"], loaded
        return all(rule["health"] == "ok" for rule in loaded)

    eventually(evaluated, "the rules to be evaluated")
    firing = [alert for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"]
    assert not firing, "nothing is wrong with this suite"


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


def dashboard_queries():
    return [(panel["title"], target["expr"]) for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_names_its_data_source_by_a_variable_and_its_panels_apart():
    panels = dashboard()["panels"]
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles) and len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"], panel["title"]
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    variables = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval"}
    assert used <= variables


def test_every_query_of_the_dashboard_returns_series(used):
    suite, prometheus = used
    missing = dict.fromkeys(dashboard_queries())

    def all_seen():
        # Traffic goes on: a rate needs a count that changes while it is watched.
        for response in [chat(suite), chat(suite, stream=True), ner(suite)]:
            assert response.status_code == 200, response.text
        for query in [query for query in missing if prometheus.has_numbers(query[1])]:
            del missing[query]
        return not missing

    try:
        eventually(all_seen, "the queries", seconds=60)
    except AssertionError:
        pytest.fail("no series: " + "\n".join(f"{title}: {query}" for title, query in missing))
    models = prometheus.get("label/model_name/values", **{"match[]": "vllm:num_requests_running"})
    assert "support-chat" in models


def test_every_metric_of_rules_and_dashboard_is_one_that_services_expose(used):
    _, prometheus = used
    queries = [query for _, query in dashboard_queries()] + [rule["expr"] for rule in rules()]
    wanted = {name for query in queries for name in METRIC.findall(re.sub(r'"[^"]*"', '""', query))}
    wanted -= {"model_name", "grpc_code", "grpc_method", "grpc_service"}
    missing = set()

    def all_known():
        missing.clear()
        missing.update(wanted - set(prometheus.get("label/__name__/values")))
        return wanted and not missing

    try:
        eventually(all_known, "the metrics")
    except AssertionError:
        pytest.fail(f"nobody exposes or records {sorted(missing)}")
