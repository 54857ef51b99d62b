#!/usr/bin/env bash
# Runs the suite as containers on one network, started one by one: what deploy/compose.yaml does, for machines without
# compose. The images must be there (deploy/images/build.sh).
#
# Usage: deploy/images/up.sh [OPTION]...
#
#   --tool podman|docker  default: the first that works
#   --tag TAG             of the images (default: 0.1.0)
#   --registry NAME       what image names begin with (default: localhost)
#   --project NAME        what names of containers, volumes and the network begin with (default: llmos)
#   --replicas N          inference replicas (default: 2)
#   --listen ADDRESS      where the public API is published (default: 127.0.0.1)
#   --port PORT           its port (default: 8080; 0 takes a free one)
#   --models FOLDER       model folders to import at the first start (default: deploy/models)
#   --stop                stops and removes the containers and the network; data stays in its volumes
#   --remove-data         with --stop: removes the volumes too
#
# Safe to run twice: what runs stays as it is.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/../.."
source deploy/images/engine.sh

tool='' tag=0.1.0 registry=localhost project=llmos replicas=2 listen=127.0.0.1 port=8080 models=deploy/models
stop=false remove_data=false
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' deploy/images/up.sh | sed '$d'; exit 0 ;;
    --stop) stop=true ;;
    --remove-data) remove_data=true ;;
    --tool | --tag | --registry | --project | --replicas | --listen | --port | --models)
      [ $# -gt 1 ] || { echo "up.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --models ]; then models=$(from_caller "$2"); else declare "${1#--}=$2"; fi
      shift
      ;;
    *) echo "up.sh: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
choose_engine "$tool"
label=io.llmos.project=$project

if $stop; then
  mapfile -t containers < <("$engine" ps -aq --filter "label=$label")
  if [ ${#containers[@]} -gt 0 ]; then
    "$engine" stop -t 15 "${containers[@]}" >/dev/null
    "$engine" rm -f "${containers[@]}" >/dev/null
  fi
  "$engine" network rm "$project" >/dev/null 2>&1 || true
  if $remove_data; then "$engine" volume rm -f "$project-data" "$project-training" >/dev/null; fi
  exit 0
fi

# run NAME SERVICE ARGUMENT...: starts a container unless it runs, and waits until the service is ready or ends.
run() {
  local name=$project-$1 service=$2 running
  shift 2
  running=$(state_of "$name")
  if [[ $running != true* ]]; then
    running='true 0'
    "$engine" rm -f "$name" >/dev/null 2>&1 || true
    "$engine" run --detach --name "$name" --label "$label" --network "$project" --network-alias "$service" \
      --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --pids-limit 512 --restart unless-stopped \
      "$@" "$registry/llmos-$service:$tag" >/dev/null 2>"$errors" || { cat "$errors" >&2; exit 1; }
  fi
  await_ready "$name" "$service" "$running" "$models"
  printf '%-24s ready\n' "$name"
}

[ -d "$models" ] || { echo "up.sh: there is no folder $models" >&2; exit 1; }
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
if owner=$("$engine" network inspect -f '{{index .Labels "io.llmos.project"}}' "$project" 2>/dev/null); then
  # Its other containers might have the names of ours.
  [ "$owner" = "$project" ] || { echo "up.sh: the network $project is not of this script; --project gives it another name" >&2; exit 1; }
else
  "$engine" network create --label "$label" "$project" >/dev/null
fi
data=$project-data:/var/lib/llmos/data
run data data --memory 2g -v "$data" -v "$(realpath "$models"):/models:ro" -e LLMOS_DEMO_MODELS=/models
run tokenizer tokenizer --memory 1g -v "$data:ro"
for ((i = 1; i <= replicas; i++)); do run "inference-$i" inference --memory 4g -v "$data:ro"; done
run training training --memory 4g -v "$data:ro" -v "$project-training:/var/lib/llmos/training"
run gateway gateway --memory 1g -p "$listen:$([ "$port" = 0 ] || echo "$port"):8080"
echo "the API is at http://$("$engine" port "$project-gateway" 8080/tcp | head -n 1)"
