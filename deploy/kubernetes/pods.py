#!/usr/bin/env python3
"""Turns a rendered overlay on standard input into what `podman play kube` runs, on standard output.

A pod for each workload, named as its Service, so that the name resolves to it, and their configuration; podman makes a
volume for each claim. All else is the cluster's business. Used by play.sh.
"""

import argparse
import re
import socket
import sys

import yaml

KEPT = ["ConfigMap", "Secret"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def pod(workload, options):
    """The pod that a Deployment or StatefulSet would make, without what podman does otherwise or not at all."""
    name, spec = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        template = claim["metadata"]["name"]
        spec["volumes"].append({"name": template, "persistentVolumeClaim": {"claimName": f"{template}-{name}-0"}})
    for volume in [volume for volume in spec["volumes"] if "emptyDir" in volume]:
        # Its name is that of a volume of the machine, which pods would share.
        own = f"{name}-{volume['name']}"
        for mount in [mount for container in spec["containers"] for mount in container["volumeMounts"]]:
            mount["name"] = own if mount["name"] == volume["name"] else mount["name"]
        volume["name"] = own
    for container in spec["containers"]:
        image = container["image"].rpartition("/")[2].partition(":")[0]
        container["image"] = f"{options.registry}/{image}:{options.tag}"
        # Probes would become commands of curl, which the images do not have.
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
            container.pop(probe, None)
        # Every port that is named here would be published on the machine.
        for port in container.pop("ports", []):
            if port["name"] == "http":
                published = {"hostPort": options.publish or free_port(), "hostIP": "127.0.0.1"}
                container["ports"] = [{"containerPort": port["containerPort"], **published}]
    spec["restartPolicy"] = "Always"
    labels = {**workload["spec"]["template"]["metadata"]["labels"], "io.llmos.project": options.project}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def renamed(text, project):
    """`llmos-data` as `PROJECT-data`, for several suites on one machine."""
    return re.sub(r"\bllmos-(?=\w)", f"{project}-", text)


def convert(objects, options):
    workloads = [each for each in objects if each["kind"] in ["Deployment", "StatefulSet"]]
    # The others find the store by themselves; first is fastest.
    workloads.sort(key=lambda each: each["kind"] != "StatefulSet")
    pods = [pod(workload, options) for workload in workloads]
    for each in pods:
        each["metadata"]["name"] = renamed(each["metadata"]["name"], options.project)
        mounts = [mount for container in each["spec"]["containers"] for mount in container["volumeMounts"]]
        for named in [*each["spec"]["volumes"], *mounts]:
            named["name"] = renamed(named["name"], options.project)
        for claim in [volume.get("persistentVolumeClaim", {}) for volume in each["spec"]["volumes"]]:
            if claim:
                claim["claimName"] = renamed(claim["claimName"], options.project)
    maps = [each for each in objects if each["kind"] in KEPT]
    for each in maps:
        for key, value in each.get("data", {}).items():
            if re.search(r"_ADDRESS(ES)?$", key):
                each["data"][key] = renamed(value, options.project)
    return maps + pods


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", default="llmos")
    parser.add_argument("--registry", default="localhost")
    parser.add_argument("--tag", default="0.1.0")
    parser.add_argument("--publish", type=int, default=0, help="port of the public API on this machine; 0: a free one")
    options = parser.parse_args()
    objects = [each for each in yaml.safe_load_all(sys.stdin) if each]
    # Written out in full: podman's reader of YAML is not one for references.
    yaml.Dumper.ignore_aliases = lambda *_: True
    yaml.dump_all(convert(objects, options), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
