# shellcheck shell=bash disable=SC2034 # `engine` is for the scripts that source this
# Sourced by the scripts that run containers: chooses the tool and fits podman to what this machine allows.
#
#   choose_engine [TOOL]   sets `engine` to TOOL, or to the first of podman, docker (and buildah, with BUILD=1) that works
#
# Where limits may not be raised, or control groups are half version 1 and half 2, podman's defaults cannot start a
# container. Then, and only then, this file gives podman a configuration of its own for this process and its children:
# runc instead of crun, the limits that this process has, and the network stack whose names resolve.

choose_engine() {
  local tool tools=(podman docker)
  [ "${BUILD:-}" = 1 ] && tools=(podman buildah docker)
  [ -n "${1:-}" ] && tools=("$1")
  for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || continue
    case $tool in
      podman | buildah) fit_podman; engine=$tool; return ;;
      # The client alone can do nothing.
      docker) if docker info >/dev/null 2>&1; then engine=docker; return; fi ;;
      *) echo "unknown tool $tool; podman, buildah and docker are known" >&2; return 2 ;;
    esac
  done
  echo "no container tool works here, of ${tools[*]}; on Debian: deploy/install.sh podman runc netavark aardvark-dns" >&2
  return 1
}

fit_podman() {
  [ -z "${CONTAINERS_CONF:-}" ] || return 0
  local files limits='' runtime='' network=''
  files=$(ulimit -Hn)
  if [ "$files" != unlimited ] && [ "$files" -lt 1048576 ]; then
    limits="default_ulimits = [\"nofile=$files:$files\", \"nproc=4096:4096\"]"
  fi
  if [ -d /sys/fs/cgroup/unified ] && command -v runc >/dev/null; then runtime='runtime = "runc"'; fi
  if [ -x /usr/lib/podman/netavark ] && [ -x /usr/lib/podman/aardvark-dns ]; then
    network='network_backend = "netavark"'
  fi
  [ -n "$limits$runtime" ] || return 0
  CONTAINERS_CONF=${TMPDIR:-/tmp}/llmos-containers-$UID.conf
  export CONTAINERS_CONF
  printf '[containers]\n%s\n[engine]\n%s\n[network]\n%s\n' "$limits" "$runtime" "$network" >"$CONTAINERS_CONF.$$"
  mv "$CONTAINERS_CONF.$$" "$CONTAINERS_CONF"
}
