#!/usr/bin/env bash
# Starts the suite on this machine: installs what is missing, builds, imports the demo models, and waits until all is ready.
#   deploy/run.sh            in the foreground, until Ctrl-C
#   deploy/run.sh --detach   returns when the suite is ready
#   deploy/run.sh --stop     ends it
# Other arguments go to `llmos up` (see `.build/release/llmos up --help`). Safe to run twice.
set -euo pipefail
cd "$(dirname "$0")/.."
llmos=$PWD/.build/release/llmos
case ${1:-} in
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' deploy/run.sh; exit 0 ;;
  --stop)
    shift
    [ -x "$llmos" ] || { echo "nothing was built here, so nothing runs"; exit 0; }
    exec "$llmos" down "$@"
    ;;
esac
bash deploy/build.sh
[[ " $* " == *" --models "* ]] || set -- "$@" --models deploy/models
[[ " $* " == *" --detach "* ]] || exec "$llmos" up "$@"
"$llmos" up "$@"
url=$("$llmos" status | grep -o 'http://[^,]*' || true)
cat <<TRY
Try:
  .build/release/llmos chat "What is the exchange rate like?"
  .build/release/llmos ner "Angela Merkel visited the Siemens plant in Munich."
  curl -s $url/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"support-chat","messages":[{"role":"user","content":"I lost my card"}],"temperature":0}'
TRY
