#!/usr/bin/env bash
# Installs what is missing and runs every test: generated code, style, unit tests, then the whole suite from outside.
# Tests that compare with other systems use ../shared and a Python environment (LLMOS_PEERS, default
# ~/.cache/llmos-peers); without them they skip and say why.
set -euo pipefail
cd "$(dirname "$0")/.."
export LLMOS_PEERS=${LLMOS_PEERS:-$HOME/.cache/llmos-peers}
shared=${LLMOS_SHARED:-$PWD/../shared}
began=$SECONDS
step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - began)); }

step "packages"
bash deploy/install.sh g++ libnghttp2-dev libprotobuf-c-dev libopenblas-dev libpcre2-dev libsqlite3-dev zlib1g-dev pkg-config \
  curl protobuf-compiler protobuf-c-compiler libprotobuf-dev libprotoc-dev openssl python3-venv shellcheck \
  podman runc netavark aardvark-dns catatonit mmdebstrap
# For its binaries alone: the package would start a Prometheus of its own, now and with the machine.
if ! command -v promtool >/dev/null; then
  systemd() {
    [ -d /run/systemd/system ] || return 0
    if [ "$(id -u)" -eq 0 ]; then systemctl -q "$@"; else sudo systemctl -q "$@"; fi
  }
  systemd mask prometheus
  trap 'systemd unmask prometheus' EXIT
  bash deploy/install.sh prometheus
  trap - EXIT
  systemd unmask prometheus
  systemd disable prometheus
fi
# What renders the Kubernetes manifests, where Debian's is new enough for kustomize 5 (Debian 13's is).
if ! command -v kubectl >/dev/null && ! command -v kustomize >/dev/null; then
  kubectl=$(apt-cache policy kubernetes-client 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]\)/\1/p')
  if dpkg --compare-versions "${kubectl:-0}" ge 1.27; then bash deploy/install.sh kubernetes-client; fi
fi
if [ -f "$shared/peers/setup.sh" ]; then bash "$shared/peers/setup.sh"; fi
python=$LLMOS_PEERS/venv/bin/python
[ -x "$python" ] || { python=.build/test-venv/bin/python; [ -x "$python" ] || python3 -m venv .build/test-venv; }
"$python" -m pip install -q pytest pytest-timeout requests openai grpcio grpcio-tools grpcio-reflection
"$python" -m pip install -q pyyaml prometheus_client kubernetes-validate

step "format"
git ls-files '*.swift' | grep -v '/Generated/' | xargs swift format lint --strict --configuration .swift-format
git ls-files '*.sh' .ci/run | xargs shellcheck -x

step "unit tests"
swift build --build-tests --explicit-target-dependency-import-check error
# One module at a time: what one computes must not starve the sockets and processes of another.
for module in Tests/*Tests; do
  module=${module##*/}
  [ "$module" = SystemTests ] || swift test --skip-build --disable-xctest --filter "^$module\."
done
SIMULATION_SEEDS=300 swift test --skip-build --disable-xctest --filter '^RPCTests\.SimulationTests'

step "fuzzing"
bash Tests/Fuzz/fuzz.sh 60

step "generated code"
bash deploy/generate.sh --check

step "system tests, against release builds"
bash deploy/build.sh
"$python" -m pytest Tests/SystemTests -q --timeout 300

step "done"
