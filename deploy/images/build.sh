#!/usr/bin/env bash
# Builds the container images llmos-gateway, llmos-tokenizer, llmos-inference, llmos-training, llmos-data and llmos-cli.
#
# Usage: deploy/images/build.sh [OPTION]... [gateway|tokenizer|inference|training|data|cli]...    (default: all)
#
#   --tool podman|buildah|docker  default: the first that works
#   --tag TAG                     default: the version, such as 0.1.0
#   --registry NAME               what image names begin with (default: localhost)
#   --base IMAGE                  such as docker.io/library/debian:12-slim, of the release that this machine runs; default:
#                                 made here from the C library's Debian packages, without shell and package manager
#   --executables FOLDER          default: .build/release, built first if need be
#   --scratch FOLDER              where the build context is put together (default: .build/images)
#
# Safe to run twice. Prints the size of each image.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/../.."
source deploy/images/engine.sh

tool='' tag='' registry=localhost base='' executables='' scratch=.build/images services=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' deploy/images/build.sh | sed '$d'; exit 0 ;;
    --tool | --tag | --registry | --base | --executables | --scratch)
      [ $# -gt 1 ] || { echo "build.sh: $1 needs a value" >&2; exit 2; }
      case $1 in
        --executables | --scratch) declare "${1#--}=$(from_caller "$2")" ;;
        *) declare "${1#--}=$2" ;;
      esac
      shift
      ;;
    gateway | tokenizer | inference | training | data | cli) services+=("$1") ;;
    *) echo "build.sh: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
[ ${#services[@]} -gt 0 ] || services=(gateway tokenizer inference training data cli)
BUILD=1 choose_engine "$tool"
if [ -z "$executables" ]; then
  bash deploy/build.sh
  executables=.build/release
fi
version=$("$executables/llmos-data" --version | sed 's/.* //')
tag=${tag:-$version}
context=$scratch/context

# What every base has: images carry the other libraries themselves.
base_packages="libc6 libgcc-s1 libstdc++6"

# make_base NAME: an image with the base packages and nothing else, from the archive that this machine's apt uses.
make_base() {
  local codename sources
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  if [ -f "$scratch/base/$codename.tar" ]; then
    if "$engine" inspect --type image "$1" >/dev/null 2>&1; then return; fi
  else
    bash deploy/install.sh mmdebstrap
    mapfile -t sources < <(grep -lE "^[^#]*[[:space:]]$codename([[:space:]]|$)" \
      /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null)
    mkdir -p "$scratch/base"
    # Nothing in there needs a shell to be set up. What nobody opens is left out: conversions of character sets, libraries of
    # debuggers and of NIS, documents other than licences, apt's own files. The lists that apt has fetched are used; new ones
    # if these are none or too old.
    # shellcheck disable=SC2016 # $1 is the hook's: the folder
    bootstrap() {
      mmdebstrap --quiet --format=tar --variant=extract --include="base-files ${base_packages// /,}" "$@" \
        --extract-hook='cd "$1" && rm -rf usr/lib/*/gconv usr/lib/*/audit lib/*/libmvec.so.1 usr/share/gcc \
          usr/share/gdb usr/share/man usr/share/info usr/share/lintian usr/bin/* bin/* sbin/* usr/sbin/* \
          lib/*/libBrokenLocale.so.* lib/*/libc_malloc_debug.so.* lib/*/libmemusage.so lib/*/libnsl.so.* \
          lib/*/libnss_compat.so.* lib/*/libnss_hesiod.so.* lib/*/libpcprofile.so lib/*/libthread_db.so.* \
          var/cache/* var/lib/apt etc/apt
          find usr/share/doc -type f ! -name copyright -delete
          echo "llmos:x:10001:10001::/var/lib/llmos:/usr/sbin/nologin" >etc/passwd
          echo "llmos:x:10001:" >etc/group' \
        "$codename" "$scratch/base/$codename.tar.new" "${sources[@]}"
    }
    # shellcheck disable=SC2016
    bootstrap --skip=update,cleanup \
      --setup-hook='mkdir -p "$1/var/lib/apt/lists" && cp -a /var/lib/apt/lists/. "$1/var/lib/apt/lists/"' \
      2>"$scratch/base/log" || bootstrap --skip=cleanup
    mv "$scratch/base/$codename.tar.new" "$scratch/base/$codename.tar"
  fi
  printf 'FROM scratch\nADD %s.tar /\n' "$codename" >"$scratch/base/Containerfile"
  build -t "$1" -f "$scratch/base/Containerfile" "$scratch/base"
}

# build ARGUMENT...: the tool's build, in Docker's format, which has health checks; quiet unless it fails. Steps are not kept:
# there is nothing to save, and storage without layers (vfs) would hold a copy of the whole for each.
build() {
  local command=(build)
  [ "$engine" = docker ] || command+=(--format docker --layers=false)
  "$engine" "${command[@]}" "$@" >"$scratch/build.log" 2>&1 || { cat "$scratch/build.log" >&2; return 1; }
}

# package_of LIBRARY: the Debian package it comes from; nothing if it is none's. The package may know it below / or /usr.
package_of() {
  local real
  real=$(realpath "$1")
  { dpkg-query -S "$1" "$real" "${real#/usr}" 2>/dev/null || true; } | sed -n '1s/:.*//p'
}

# link_openblas PROGRAM LIBRARY FILE: a library with the routines that the program calls, from the archive beside LIBRARY.
# The whole one has LAPACK too, which nothing here calls, and needs Fortran's runtime for it: 14 MB.
link_openblas() {
  local symbols routines
  symbols=$(nm -D --undefined-only "$1")
  mapfile -t routines < <(awk '$2 ~ /^(cblas|openblas)_/ {print "-Wl,-u," $2}' <<<"$symbols")
  gcc -shared -s -Wl,-soname,"${3##*/}" "${routines[@]}" -Wl,--gc-sections -o "$3" \
    "$(dirname "$(realpath "$2")")/libopenblas.a" -lm -lpthread
}

# add_program SERVICE PROGRAM: the executable without symbols, and the libraries it needs beyond the base's.
add_program() {
  local folder=$context/$1 libraries needed library package
  libraries=$folder/usr/lib/$(uname -m)-linux-gnu
  mkdir -p "$folder/usr/bin" "$libraries" "$folder/var/lib/dpkg/status.d"
  strip -o "$folder/usr/bin/$2" "$executables/$2"
  needed=$(ldd "$executables/$2") || { echo "build.sh: ldd cannot read $executables/$2: $needed" >&2; return 1; }
  if [[ $needed == *"not found"* ]]; then
    printf 'build.sh: this machine lacks libraries of %s:\n%s\n' "$executables/$2" "$(grep 'not found' <<<"$needed")" >&2
    return 1
  fi
  while read -r library; do
    package=$(package_of "$library")
    [[ " $base_packages " != *" $package "* ]] || continue
    case ${library##*/} in
      libopenblas.so.*) link_openblas "$executables/$2" "$library" "$libraries/${library##*/}" ;;
      libgfortran.so.* | libquadmath.so.*) continue ;;
      *) install -m 644 "$library" "$libraries" ;;
    esac
    [ -n "$package" ] || continue
    # For scanners of images, and the licence.
    dpkg-query -s "$package" >"$folder/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$folder/usr/share/doc/$package/copyright"
  done < <(awk '$2 == "=>" {print $3}' <<<"$needed")
}

rm -rf "$context"
mkdir -p "$context/home/data" "$context/home/training"
chmod 700 "$context/home/data" "$context/home/training"
if [ -z "$base" ]; then
  base=localhost/llmos-base:$version
  make_base "$base"
fi
source=$(git config --get remote.origin.url 2>/dev/null | grep -E '^https://[^@]*$' || echo unknown)
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
for service in "${services[@]}"; do
  case $service in
    cli) add_program cli llmos ;;
    # The worker is a name of the service's executable.
    training)
      add_program training llmos-training
      ln -s llmos-training "$context/training/usr/bin/llmos-training-worker"
      ;;
    *) add_program "$service" "llmos-$service" ;;
  esac
  image=$registry/llmos-$service:$tag
  build --target "$service" --build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    --build-arg "SOURCE=$source" -t "$image" -f deploy/images/Containerfile "$context"
  case $engine in
    buildah) bytes=$(buildah images --json "$image" | sed -n 's/.*"size": "\(.*\)".*/\1/p') ;;
    *) bytes=$("$engine" image inspect -f '{{.Size}}' "$image" | awk '{printf "%.1f MB", $1 / 1e6}') ;;
  esac
  printf '%-40s %s\n' "$image" "$bytes"
done
