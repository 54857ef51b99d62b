#!/usr/bin/env bash
# Prints deploy/monitoring/rules.yml as a PrometheusRule, for the Prometheus operator.
#
# Usage: deploy/kubernetes/components/monitoring/rules.sh [RELEASE]    the Helm release; default: kube-prometheus-stack
set -euo pipefail
cd "$(dirname "$0")/../../../.."
cat <<HEAD
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: llmos
  labels:
    app.kubernetes.io/part-of: llmos
    # What kube-prometheus-stack's Prometheus selects by default: the name of its Helm release.
    release: ${1:-kube-prometheus-stack}
spec:
HEAD
sed -n '/^groups:/,$s/^/  /p' deploy/monitoring/rules.yml
