# shellcheck shell=bash disable=SC2034 # `engine` is for the scripts that source this
# Sourced by the scripts that run containers: chooses the tool and fits podman to what this machine allows.
#
#   choose_engine [TOOL]   sets `engine` to TOOL, or to the first of podman, docker (and buildah, with BUILD=1) that works
#   await_ready ...        waits until the service in a container is ready
#
# Where root may not raise limits, or control groups are half version 1 and half 2, podman's defaults cannot start a
# container. Then, and only then, this file gives podman a configuration for this process and its children: runc instead
# of crun, the limits that this process has, and the network stack whose names resolve. It is laid over the machine's own
# configuration; podman before 4.6 can only read it in the place of that.

choose_engine() {
  local tool reason failure='' tools=(podman docker)
  [ "${BUILD:-}" = 1 ] && tools=(podman buildah docker)
  if [ -n "${1:-}" ]; then
    [[ " ${tools[*]} " == *" $1 "* ]] || { echo "unknown tool $1, of ${tools[*]}" >&2; return 2; }
    tools=("$1")
  fi
  for tool in "${tools[@]}"; do
    if ! command -v "$tool" >/dev/null; then
      failure+=$'\n'"  $tool is not installed"
      continue
    fi
    [ "$tool" = docker ] || fit_podman "$tool"
    # A client without its daemon, or without rights to its storage, can do nothing. What it says last is the reason.
    if reason=$("$tool" info 2>&1 >/dev/null); then
      engine=$tool
      return
    fi
    failure+=$'\n'"  $tool does not work here: ${reason##*$'\n'}"
  done
  echo "no container tool works here, of ${tools[*]}; on Debian: deploy/install.sh podman runc netavark aardvark-dns$failure" >&2
  return 1
}

# fit_podman TOOL: sets CONTAINERS_CONF_OVERRIDE or CONTAINERS_CONF if podman or buildah needs it and neither is set.
fit_podman() {
  [ -z "${CONTAINERS_CONF:-}${CONTAINERS_CONF_OVERRIDE:-}" ] || return 0
  local limits='' runtime='' network='' file variable=CONTAINERS_CONF hidden
  # What podman sets for root's containers; without root it sets what the user may.
  if [ "$(id -u)" -eq 0 ] && ! (ulimit -n 1048576 && ulimit -u 1048576) 2>/dev/null; then
    limits="default_ulimits = [\"nofile=$(hard_limit n 1048576)\", \"nproc=$(hard_limit u 4096)\"]"
  fi
  # Podman takes crun if it is there.
  if [ -d /sys/fs/cgroup/unified ] && command -v crun >/dev/null && command -v runc >/dev/null; then
    runtime='runtime = "runc"'
  fi
  [ -n "$limits$runtime" ] || return 0
  if [ -x /usr/lib/podman/netavark ] && [ -x /usr/lib/podman/aardvark-dns ]; then
    network='network_backend = "netavark"'
  fi
  file=$(private_folder)/containers.conf || return
  printf '[containers]\n%s\n[engine]\n%s\n[network]\n%s\n' "$limits" "$runtime" "$network" >"$file.$$"
  mv "$file.$$" "$file"
  if knows_overrides "$1"; then
    variable=CONTAINERS_CONF_OVERRIDE
  else
    for hidden in /etc/containers/containers.conf /etc/containers/containers.conf.d/*.conf \
      "${XDG_CONFIG_HOME:-$HOME/.config}"/containers/containers.conf; do
      [ ! -f "$hidden" ] || echo "$1 is older than 4.6 and cannot run here by its defaults: $file takes the place of $hidden" >&2
    done
  fi
  export "$variable=$file"
}

# hard_limit LETTER MOST: a limit of this process for `--ulimit`, at most MOST.
hard_limit() {
  local limit
  limit=$(ulimit "-H$1")
  if [ "$limit" = unlimited ] || [ "$limit" -gt "$2" ]; then limit=$2; fi
  echo "$limit:$limit"
}

# private_folder: a folder that belongs to this user alone, made if need be. Not a temporary one: podman reads the file again
# when a container ends or is started again, which may be long after these scripts have.
private_folder() {
  local folder=${XDG_STATE_HOME:-${HOME:?}/.local/state}/llmos
  (umask 077 && mkdir -p "$folder") || return
  [ -O "$folder" ] || { echo "$folder belongs to another user" >&2; return 1; }
  echo "$folder"
}

# knows_overrides TOOL: whether it reads CONTAINERS_CONF_OVERRIDE: podman 4.6 and buildah 1.31, of the same month.
knows_overrides() {
  local version least=4.6
  [ "$1" = podman ] || least=1.31
  version=$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
  [ -n "$version" ] && [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ]
}

# from_caller PATH: as seen from the folder where the script was called, before it went to the project's: $caller.
from_caller() { (cd "${caller:?}" && realpath -ms -- "$1"); }

# As long as the images' health checks give the data service, which imports the models of a first start before it listens.
wait_seconds_max=900
# From here on, those who wait are told for what.
quiet_seconds=5

# state_of CONTAINER: whether it runs, and how often it was started again; nothing if there is none.
state_of() { "$engine" container inspect -f '{{.State.Running}} {{.RestartCount}}' "$1" 2>/dev/null || true; }

# await_ready CONTAINER SERVICE STATE MODELS: returns when the service is ready, or with an error when the container's state is
# another one than that given: it ended then. MODELS is the folder that the data service imports.
await_ready() {
  local reason said=false
  SECONDS=0
  until reason=$("$engine" exec "$1" "/usr/bin/llmos-$2" --healthcheck 2>&1); do
    if [ "$(state_of "$1")" != "$3" ]; then
      echo "$1 ended before it was ready; it says:" >&2
      "$engine" logs --tail 20 "$1" >&2
      return 1
    fi
    if [ $SECONDS -ge $wait_seconds_max ]; then
      echo "$1 is not ready after $SECONDS s: ${reason##*$'\n'}" >&2
      return 1
    fi
    if ! $said && [ $SECONDS -ge $quiet_seconds ]; then
      said=true
      echo "waiting for $1: ${reason##*$'\n'}" >&2
      [ "$2" != data ] || echo "  it imports the models of $4 before it is ready, the first time" >&2
    fi
    sleep 0.2
  done
}
