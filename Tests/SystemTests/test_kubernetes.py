"""The Kubernetes manifests: rendered, checked against the schemas and against the design, and run by podman."""

import collections
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests
from conftest import ROOT, golden
from containers import NAME

yaml = pytest.importorskip("yaml")

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ["single-node", "replicas"]
SCHEMA = "1.34"
LOADER = KUBERNETES / "components" / "models" / "loader.yaml"

SERVICES = {"gateway": 7100, "tokenizer": 7101, "inference": 7102, "training": 7103, "data": 7104}
# The design's arrows: who may call whom, and no other.
ARROWS = {
    ("clients", "gateway", 8080),
    *(("gateway", service, port) for service, port in SERVICES.items() if service != "gateway"),
    *((service, "data", 7104) for service in ["tokenizer", "inference", "training"]),
    *(("prometheus", service, port + 1000) for service, port in SERVICES.items()),
    *((service, *dns) for service in SERVICES for dns in [("dns", 53), ("dns-cache", 53), ("openshift-dns", 5353)]),
}


def kustomize():
    """The command that renders, from a kubectl or kustomize that knows components."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True).stdout
        found = re.search(r"Kustomize Version: v(\d+)", version)
        if found and int(found.group(1)) >= 5:
            return ["kubectl", "kustomize"]
    pytest.skip("neither kustomize nor kubectl 1.27 or newer is installed; Debian 12 and PyPI have none (Debian 13 has: "
                "kubernetes-client); see https://kubernetes.io/docs/tasks/tools")


def render(folder):
    result = subprocess.run([*kustomize(), folder], capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request):
    return [each for each in yaml.safe_load_all(render(KUBERNETES / "overlays" / request.param)) if each]


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def name(thing):
    return thing["metadata"]["name"]


def workloads(objects):
    return of_kind(objects, "Deployment", "StatefulSet")


def template(workload):
    return workload["spec"]["template"]


def containers(workload):
    spec = template(workload)["spec"]
    return spec["containers"] + spec.get("initContainers", [])


def component(workload):
    return template(workload)["metadata"]["labels"]["app.kubernetes.io/component"]


def container_ports(workload):
    return {port["name"]: port["containerPort"] for each in containers(workload) for port in each["ports"]}


def selects(selector, labels):
    """Whether a label selector matches labels."""
    for expression in selector.get("matchExpressions", []):
        value = labels.get(expression["key"])
        if not {"In": value in expression.get("values", []), "Exists": value is not None}[expression["operator"]]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


# MARK: - Objects


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_the_same_every_time(overlay):
    assert render(KUBERNETES / "overlays" / overlay) == render(KUBERNETES / "overlays" / overlay)


def test_every_object_is_valid(objects):
    validate = pytest.importorskip("kubernetes_validate")
    for each in objects + list(yaml.safe_load_all(LOADER.read_text())):
        if "monitoring.coreos.com" not in each["apiVersion"]:
            validate.validate(each, SCHEMA, strict=True)


def test_no_object_is_there_twice_and_all_are_in_the_namespace(objects):
    identities = [(each["kind"], name(each)) for each in objects]
    assert len(set(identities)) == len(identities)
    for each in objects:
        if each["kind"] == "Namespace":
            assert each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        else:
            assert each["metadata"]["namespace"] == "llmos", name(each)


def test_all_five_services_are_there_and_state_is_in_stateful_sets(objects):
    kinds = {component(each): each["kind"] for each in workloads(objects)}
    assert kinds == {service: "StatefulSet" if service in ["data", "training"] else "Deployment" for service in SERVICES}
    for each in of_kind(objects, "StatefulSet"):
        assert each["spec"]["replicas"] == 1, "one process owns a store"
        assert each["spec"]["serviceName"] in map(name, of_kind(objects, "Service"))


def test_every_service_selects_pods_and_its_ports_are_theirs(objects):
    for service in of_kind(objects, "Service"):
        selected = [each for each in workloads(objects)
                    if selects({"matchLabels": service["spec"]["selector"]}, template(each)["metadata"]["labels"])]
        assert len(selected) == 1, name(service)
        for port in service["spec"]["ports"]:
            assert container_ports(selected[0])[port["targetPort"]] == port["port"], name(service)
    inference = next(each for each in of_kind(objects, "Service") if name(each) == "llmos-inference")
    assert inference["spec"]["clusterIP"] == "None", "the gateway balances each call over the addresses"
    public = next(each for each in of_kind(objects, "Service") if name(each) == "llmos-gateway")
    assert [port["name"] for port in public["spec"]["ports"]] == ["http"], "what is opened to clients has no admin port"


def test_ports_are_the_design_s(objects):
    for each in workloads(objects):
        rpc = SERVICES[component(each)]
        expected = {"rpc": rpc, "admin": rpc + 1000} | ({"http": 8080} if component(each) == "gateway" else {})
        assert container_ports(each) == expected


def test_probes_mean_different_things_and_their_ports_exist(objects):
    for workload in workloads(objects):
        ports = container_ports(workload)
        for container in containers(workload):
            startup, live, ready = (container[f"{kind}Probe"] for kind in ["startup", "liveness", "readiness"])
            assert startup["tcpSocket"]["port"] in ports
            assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
            assert live["httpGet"] == {"path": "/livez", "port": "admin"}
            if component(workload) == "gateway":
                assert ready["httpGet"] == {"path": "/readyz", "port": "admin"}
            else:
                assert ready["grpc"]["port"] == ports["rpc"]


def test_pods_ask_for_no_more_than_the_restricted_standard_allows(objects):
    loader = {"kind": "Pod", "metadata": {"name": "loader"}, "spec": {"template": yaml.safe_load(LOADER.read_text())}}
    for workload in [*workloads(objects), loader]:
        pod = template(workload)["spec"]
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] == context["runAsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for volume in pod["volumes"]:
            assert {"emptyDir", "persistentVolumeClaim"} & set(volume), "no file of the node"
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            for kind in ["requests", "limits"]:
                assert set(container["resources"][kind]) == {"cpu", "memory"}, name(workload)


def test_volumes_exist_and_one_pod_alone_writes_to_each(objects):
    claims = set(map(name, of_kind(objects, "PersistentVolumeClaim")))
    writers = collections.Counter()
    for workload in workloads(objects):
        pod = template(workload)["spec"]
        own = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in containers(workload):
            for mount in container["volumeMounts"]:
                if mount["name"] in own:
                    continue
                claim = volumes[mount["name"]].get("persistentVolumeClaim", {}).get("claimName")
                assert claim is None or claim in claims
                writers[claim] += claim is not None and not mount.get("readOnly", False)
    assert writers["llmos-data"] == 1 and writers["llmos-models"] == 0
    # Inference, tokenizer and training open model files where the data service wrote them.
    paths = {mount["mountPath"] for workload in workloads(objects) for container in containers(workload)
             for mount in container["volumeMounts"] if mount["name"] == "data"}
    assert len(paths) == 1


def environment(objects, workload):
    maps = {name(each): each for each in of_kind(objects, "ConfigMap")}
    values = {}
    for container in containers(workload):
        for source in container["envFrom"]:
            if "configMapRef" in source:
                values |= maps[source["configMapRef"]["name"]]["data"]
            else:
                assert source["secretRef"]["optional"] is True
        values |= {each["name"]: each["value"] for each in container.get("env", [])}
    return values


def test_every_address_is_a_service_of_the_suite_and_its_port(objects):
    services = {name(each): each for each in of_kind(objects, "Service")}
    addresses = collections.defaultdict(set)
    for workload in workloads(objects):
        for variable, value in environment(objects, workload).items():
            if re.search(r"_ADDRESS(ES)?$", variable):
                host, port = value.split(":")
                assert int(port) in [each["port"] for each in services[host]["spec"]["ports"]], value
                addresses[component(workload)].add((host.removeprefix("llmos-"), int(port)))
    for service, found in addresses.items():
        assert found == {(to, port) for sender, to, port in ARROWS if sender == service and to in SERVICES}


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text)
    assert found, text
    return int(found.group(1))


def test_a_pod_has_more_time_to_end_than_its_service_takes(objects):
    for workload in workloads(objects):
        values = environment(objects, workload)
        takes = seconds(values.get("LLMOS_SHUTDOWN_DELAY", "0s")) + seconds(values.get("LLMOS_SHUTDOWN_GRACE", "10s"))
        # The process gives up by itself five seconds after its grace.
        assert template(workload)["spec"]["terminationGracePeriodSeconds"] > takes + 5, name(workload)
        if component(workload) in ["gateway", "inference"]:
            assert "LLMOS_SHUTDOWN_DELAY" in values, "endpoints are told before requests are refused"


def test_every_disruption_budget_is_for_one_workload_and_never_blocks(objects):
    budgets = of_kind(objects, "PodDisruptionBudget")
    covered = []
    for budget in budgets:
        selected = [each for each in workloads(objects)
                    if selects(budget["spec"]["selector"], template(each)["metadata"]["labels"])]
        assert len(selected) == 1 and budget["spec"]["maxUnavailable"] == 1, name(budget)
        covered += map(component, selected)
    assert sorted(covered) == sorted(SERVICES)


# MARK: - Network policies

PEERS = {
    "prometheus": ({"kubernetes.io/metadata.name": "monitoring"}, {"app.kubernetes.io/name": "prometheus"}),
    "dns": ({"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}),
    "openshift-dns": ({"kubernetes.io/metadata.name": "openshift-dns"}, {"dns.operator.openshift.io/daemonset-dns": "default"}),
}
# NodeLocal DNSCache listens there by default, on every node.
BLOCKS = {"169.254.20.10/32": "dns-cache"}


def peers(rule, key, pods):
    """Who a rule is about: services, or one of the peers outside the namespace; `clients` if it is about all."""
    if key not in rule:
        return {"clients"}
    found = set()
    for peer in rule[key]:
        if "ipBlock" in peer:
            assert set(peer) == {"ipBlock"} and set(peer["ipBlock"]) == {"cidr"}
            matching = {BLOCKS[peer["ipBlock"]["cidr"]]}
        elif "namespaceSelector" in peer:
            matching = {outside for outside, (namespace, labels) in PEERS.items()
                        if selects(peer["namespaceSelector"], namespace) and selects(peer["podSelector"], labels)}
        else:
            matching = {service for service, labels in pods.items() if selects(peer["podSelector"], labels)}
        assert matching, f"a peer that matches nothing: {peer}"
        found |= matching
    return found


def test_network_policies_allow_the_arrows_of_the_design_and_no_other(objects):
    pods = {component(each): template(each)["metadata"]["labels"] for each in workloads(objects)}
    ports = {component(each): container_ports(each) for each in workloads(objects)}
    policies = of_kind(objects, "NetworkPolicy")
    denied = [each for each in policies if each["spec"]["podSelector"] == {}]
    assert [each["spec"] for each in denied] == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]
    egress, ingress = set(), set()
    for policy in policies:
        spec = policy["spec"]
        assert set(spec["policyTypes"]) >= {kind for kind in ["Ingress", "Egress"] if kind.lower() in spec}
        chosen = [service for service, labels in pods.items() if selects(spec["podSelector"], labels)]
        assert chosen, f"{name(policy)} is about no pod"
        for service in chosen:
            for rule in spec.get("ingress", []):
                for port in rule["ports"]:
                    if port["port"] in ports[service] or isinstance(port["port"], int):
                        number = ports[service].get(port["port"], port["port"])
                        ingress |= {(peer, service, number) for peer in peers(rule, "from", pods)}
            for rule in spec.get("egress", []):
                for port in rule["ports"]:
                    egress |= {(service, peer, port["port"]) for peer in peers(rule, "to", pods)}
    outside = {"clients", "prometheus", "dns", "dns-cache", "openshift-dns"}
    assert egress == {arrow for arrow in ARROWS if arrow[0] not in outside}
    assert ingress == {arrow for arrow in ARROWS if arrow[1] not in outside}


# MARK: - Autoscaling and monitoring


def overlay(which):
    return [each for each in yaml.safe_load_all(render(KUBERNETES / "overlays" / which)) if each]


ADAPTER = KUBERNETES / "overlays" / "replicas" / "prometheus-adapter.yaml"


def test_the_autoscaler_has_a_target_whose_replicas_nobody_else_sets_and_metrics_that_the_adapter_makes():
    objects = overlay("replicas")
    scaler, = of_kind(objects, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    workload = next(each for each in objects if (each["kind"], name(each)) == (target["kind"], target["name"]))
    assert workload["apiVersion"] == target["apiVersion"] and "replicas" not in workload["spec"]
    metrics = [metric["pods"] for metric in scaler["spec"]["metrics"]]
    assert [metric["metric"]["name"] for metric in metrics] == [
        "vllm_num_requests_waiting", "llmos_classifications_in_progress"]
    assert all(metric["target"]["type"] == "AverageValue" for metric in metrics)
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    assert sorted(rule["name"]["as"] for rule in rules) == sorted(metric["metric"]["name"] for metric in metrics)
    for rule in rules:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", rule["name"]["as"]), "the API has no colons in names"
        # As the adapter does: a series that is found is named by what `matches` makes of its name.
        series = rule["seriesQuery"].partition("{")[0]
        assert re.search(rule["name"]["matches"], series)
    assert not of_kind(overlay("single-node"), "HorizontalPodAutoscaler")


def test_the_autoscaler_s_metrics_are_the_work_of_each_pod_and_0_before_its_first_chat(tmp_path):
    promtool = shutil.which("promtool") or pytest.skip("promtool is not installed (Debian package prometheus)")

    def series(name, pod, values, **labels):
        labels = {"namespace": "llmos", "pod": pod, "job": "llmos-inference", **labels}
        return {"series": name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}", "values": values}

    expected = {"vllm_num_requests_waiting": {"busy": 5, "fresh": 0}, "llmos_classifications_in_progress": {"busy": 7, "fresh": 9}}
    tests = []
    for rule in yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]:
        # What the adapter puts in for the pods of a target.
        query = rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].partition("{")[0])
        query = query.replace("<<.LabelMatchers>>", 'namespace="llmos",pod=~"busy|fresh"').replace("<<.GroupBy>>", "pod")
        samples = [{"labels": f'{{pod="{pod}"}}', "value": value} for pod, value in expected[rule["name"]["as"]].items()]
        tests.append({"expr": query, "eval_time": "1m", "exp_samples": samples})
    given = [
        series("vllm:num_requests_waiting", "busy", "3 3", model_name="a"),
        series("vllm:num_requests_waiting", "busy", "2 2", model_name="b"),
        series("vllm:num_requests_waiting", "other", "50 50", model_name="a"),
        series("llmos_classifications_in_progress", "busy", "7 7"),
        series("llmos_classifications_in_progress", "fresh", "9 9"),
        series("llmos_classifications_in_progress", "other", "50 50"),
    ]
    file = tmp_path / "adapter_test.yml"
    file.write_text(yaml.safe_dump({"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": tests}]}))
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_replicas_are_spread_and_share_a_volume_that_several_nodes_mount():
    objects = overlay("replicas")
    for each in of_kind(objects, "Deployment"):
        keys = [one["topologyKey"] for one in template(each)["spec"]["topologySpreadConstraints"]]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert each["spec"].get("replicas", 2) > 1
    claim = next(each for each in of_kind(objects, "PersistentVolumeClaim") if name(each) == "llmos-data")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_service_monitor_finds_the_admin_port_of_every_service_by_the_job_that_rules_want():
    objects = overlay("replicas")
    monitor, = of_kind(objects, "ServiceMonitor")
    assert set(monitor["spec"]) == {"jobLabel", "selector", "endpoints"}
    jobs = []
    for service in of_kind(objects, "Service"):
        labels = service["metadata"]["labels"]
        ports = {port["name"] for port in service["spec"]["ports"]}
        if selects(monitor["spec"]["selector"], labels) and monitor["spec"]["endpoints"][0]["port"] in ports:
            jobs.append(labels[monitor["spec"]["jobLabel"]])
    configured = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    assert sorted(jobs) == sorted(job["job_name"] for job in configured)


def operator_rules(*arguments):
    script = KUBERNETES / "components" / "monitoring" / "rules.sh"
    return yaml.safe_load(subprocess.run([script, *arguments], capture_output=True, text=True, check=True).stdout)


def test_prometheus_selects_monitor_and_rules_by_the_release_of_its_operator():
    monitor, = of_kind(overlay("replicas"), "ServiceMonitor")
    for each in [monitor, operator_rules()]:
        labels = each["metadata"]["labels"]
        assert labels["release"] == "kube-prometheus-stack" and labels["app.kubernetes.io/part-of"] == "llmos"
    assert operator_rules("other")["metadata"]["labels"]["release"] == "other"


def test_the_rules_are_the_same_for_the_prometheus_operator():
    rule = operator_rules()
    assert rule["kind"] == "PrometheusRule" and name(rule)
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy" / "monitoring" / "rules.yml").read_text())


# MARK: - Pods without a cluster

PROJECT = f"{NAME}-kube"


def play(*arguments, check=True):
    command = ["deploy/kubernetes/play.sh", "--project", PROJECT, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200,
                            env={**os.environ, "PYTHON": sys.executable})
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def pods(engine):
    """The address of the public API of the single-node overlay's pods, run by podman."""
    if engine.tool != "podman":
        pytest.skip("there is no podman here, which runs pods")
    kustomize()
    try:
        yield play("--tag", NAME, "--port", "0").splitlines()[-1].rpartition(" ")[2]
    finally:
        play("--stop", "--remove-data")


def test_podman_runs_the_pods_of_the_single_node_overlay(engine, pods):
    conversation = golden("support-chat")["conversations"][0]
    answer = requests.post(f"{pods}/v1/chat/completions", timeout=60, json={
        "model": "support-chat", "messages": conversation["messages"], "temperature": 0, "max_tokens": 80})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == conversation["answer"]
    body = {"model": "ner-wikiann", "inputs": "Angela Merkel visited the Siemens plant in Munich."}
    entities = requests.post(f"{pods}/v1/ner", json=body, timeout=60).json()
    assert [entity["entity_group"] for entity in entities] == ["PER", "ORG", "LOC"]
    for service in SERVICES:
        container = engine.inspect("container", f"{PROJECT}-{service}-{service}")
        assert container["Config"]["User"] == "10001:10001" and container["HostConfig"]["ReadonlyRootfs"]
        assert container["HostConfig"]["Memory"] > 0 and not container["EffectiveCaps"]


def test_pods_that_run_already_stay_as_they_are(engine, pods):
    before = engine.inspect("container", f"{PROJECT}-gateway-gateway")["Id"]
    assert play("--tag", NAME).splitlines()[-1].endswith(pods)
    assert engine.inspect("container", f"{PROJECT}-gateway-gateway")["Id"] == before


def test_what_a_start_that_failed_has_left_is_replaced_by_the_next(engine, pods):
    engine("pod", "rm", "-f", f"{PROJECT}-gateway")
    engine("pod", "stop", f"{PROJECT}-training")
    url = play("--tag", NAME, "--port", "0").splitlines()[-1].rpartition(" ")[2]
    assert requests.get(f"{url}/v1/models", timeout=60).json()["data"]
