#!/usr/bin/env bash
# Runs the pods of an overlay on this machine with `podman play kube`, for a look at them without a cluster. The images must be
# there (deploy/images/build.sh). NetworkPolicies, probes and all else that a cluster does are not in force.
#
# Usage: deploy/kubernetes/play.sh [OPTION]...
#
#   --overlay NAME        in deploy/kubernetes/overlays (default: single-node)
#   --tag TAG             of the images (default: 0.1.0)
#   --registry NAME       what image names begin with (default: localhost)
#   --project NAME        what names of pods, volumes and the network begin with (default: llmos)
#   --port PORT           where the public API is published on 127.0.0.1 (default: 8080; 0 takes a free one)
#   --models FOLDER       model folders to import at the first start (default: deploy/models)
#   --stop                stops and removes the pods and the network; data stays in its volumes
#   --remove-data         with --stop: removes the volumes too
#
# Needs kubectl (or kustomize) and, for $PYTHON (default: python3), PyYAML. Safe to run twice: what runs stays as it is.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/../.."
source deploy/images/engine.sh

overlay=single-node tag=0.1.0 registry=localhost project=llmos port=8080 models=deploy/models stop=false remove_data=false
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' deploy/kubernetes/play.sh | sed '$d'; exit 0 ;;
    --stop) stop=true ;;
    --remove-data) remove_data=true ;;
    --overlay | --tag | --registry | --project | --port | --models)
      [ $# -gt 1 ] || { echo "play.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --models ]; then models=$(from_caller "$2"); else declare "${1#--}=$2"; fi
      shift
      ;;
    *) echo "play.sh: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
choose_engine podman
label=io.llmos.project=$project
services=(data tokenizer inference training gateway)

# Whatever state the pods are in.
remove_pods() {
  local pods
  mapfile -t pods < <(podman pod ps -q --filter "label=$label")
  [ ${#pods[@]} -gt 0 ] || return 0
  podman pod stop -t 15 "${pods[@]}" >/dev/null || true
  podman pod rm -f "${pods[@]}" >/dev/null
}

if $stop; then
  remove_pods
  podman network rm "$project" >/dev/null 2>&1 || true
  if $remove_data; then
    podman volume rm -f "$project-data" "$project-models" "training-$project-training-0" >/dev/null
  fi
  exit 0
fi

running=$(podman pod ps --filter "label=$label" --filter status=running --format '{{.Name}}')
missing=$(for service in "${services[@]}"; do grep -qxF "$project-$service" <<<"$running" || echo "$service"; done)
if [ -n "$missing" ]; then
  # What an earlier start that failed has left.
  remove_pods
  # The image of pods that podman makes for itself needs it.
  command -v catatonit >/dev/null || [ -x /usr/libexec/podman/catatonit ] || bash deploy/install.sh catatonit
  if command -v kubectl >/dev/null; then render=(kubectl kustomize); else render=(kustomize build); fi
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  "${render[@]}" "deploy/kubernetes/overlays/$overlay" >"$folder/overlay.yaml"
  "${PYTHON:-python3}" deploy/kubernetes/pods.py --project "$project" --registry "$registry" --tag "$tag" \
    --publish "$port" <"$folder/overlay.yaml" >"$folder/pods.yaml"
  podman network exists "$project" || podman network create --label "$label" "$project" >/dev/null
  # What a cluster's administrator puts into the volume of models.
  podman volume exists "$project-models" || podman volume create "$project-models" >/dev/null
  tar -C "$models" --owner=10001 --group=10001 -cf "$folder/models.tar" .
  podman volume import "$project-models" "$folder/models.tar"
  podman play kube --network "$project" "$folder/pods.yaml" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
fi

for service in "${services[@]}"; do
  container=$project-$service-$service
  await_ready "$container" "$service" "$(state_of "$container")" "$models"
  printf '%-24s ready\n' "$project-$service"
done
echo "the API is at http://$(podman port "$project-gateway-gateway" 8080/tcp | head -n 1)"
