#!/usr/bin/env bash
# Fuzzes the RPC layer: fuzz.sh [seconds in all, 60] [target ...]
# Inputs that were found interesting are kept in .build/fuzz/corpus; one that breaks something is in .build/fuzz, and
# belongs into seeds/ once that is mended.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
scratch=${LLMOS_FUZZ_SCRATCH:-.build}
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
LLMOS_FUZZ_RUNTIME=$(compgen -G "$toolchain/lib/clang/*/lib/linux/libclang_rt.fuzzer_no_main-$(uname -m).a" | head -1 || true)
if [ -z "$LLMOS_FUZZ_RUNTIME" ]; then
  echo "fuzz: skipped: the Swift toolchain in $toolchain comes without libFuzzer's runtime"
  exit 0
fi
export LLMOS_FUZZ_RUNTIME  # without it the manifest has no fuzzers
began=$SECONDS
swift build --product FuzzRPC --scratch-path "$scratch" --quiet
fuzzer=$scratch/debug/FuzzRPC
echo "fuzz: built in $((SECONDS - began)) s"
# libFuzzer tells of a trap itself; Swift's backtraces read memory in ways that the address sanitizer objects to.
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=quarantine_size_mb=32
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <("$fuzzer"); fi
# A short run tries the same inputs each time: it guards what was mended. A long one looks for what is new.
seed=$((seconds > 60 ? 0 : 1))
each=$((seconds / ${#targets[@]}))
[ "$each" -gt 0 ] || each=1
out=$scratch/fuzz
for target in "${targets[@]}"; do
  corpus=$out/corpus/$target
  mkdir -p "$corpus"
  log=$out/$target.log
  if FUZZ_TARGET=$target "$fuzzer" -seed=$seed -max_total_time="$each" -dict=Tests/Fuzz/http2.dict -max_len=4096 -timeout=20 \
    -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1 -artifact_prefix="$out/$target-" \
    "$corpus" "Tests/Fuzz/seeds/$target" >"$log" 2>&1; then
    printf 'fuzz: %-14s %9s inputs in %d s, %s edges, %s kept, nothing found\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$each" \
      "$(sed -n 's/^#[0-9]*[[:space:]]*DONE *cov: \([0-9]*\).*/\1/p' "$log")" "$(find "$corpus" -type f | wc -l)"
  else
    tail -n 60 "$log"
    echo "fuzz: $target broke something; the input is beside $log"
    exit 1
  fi
done
