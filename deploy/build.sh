#!/usr/bin/env bash
# Builds the release executables into .build/release, or does nothing when they are newer than every source. The Swift
# runtime is linked into them: they start sooner, and run on machines and in images without it.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v swift >/dev/null || { echo "the Swift toolchain (6.2 or newer) is not on PATH: https://www.swift.org/install" >&2; exit 1; }
stamp=.build/llmos-built
if [ -f "$stamp" ] && [ -z "$(find Package.swift Shared Services deploy/build.sh -newer "$stamp" -print -quit)" ]; then exit 0; fi
bash deploy/install.sh g++ libnghttp2-dev libprotobuf-c-dev libopenblas-dev libpcre2-dev libsqlite3-dev zlib1g-dev pkg-config curl
echo "building (release); the first time takes some minutes"
mkdir -p .build
touch "$stamp.new"
log=.build/build.log
if ! swift build -c release --static-swift-stdlib --explicit-target-dependency-import-check error >"$log" 2>&1; then
  grep -E 'error:' "$log" >&2 || tail -n 30 "$log" >&2
  echo "the build failed; its whole output is in $log" >&2
  exit 1
fi
mv "$stamp.new" "$stamp"
