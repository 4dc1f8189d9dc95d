#!/bin/sh
# Starts the server and drives the tour workflow against it. Ctrl-C stops both.
set -eu
cd "$(dirname "$0")/.."
relive="${CARGO_TARGET_DIR:-target}/debug/relive"

output=$(mktemp)
"$relive" serve >"$output" &
server=$!
stop() {
    trap - EXIT INT TERM
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -f "$output"
}
trap stop EXIT
trap 'exit 130' INT TERM

address=
while [ -z "$address" ]; do
    kill -0 "$server" 2>/dev/null || { wait "$server" || exit $?; exit 1; }
    address=$(sed -n 's|^listening on \(http://.*\)|\1|p' "$output")
    [ -n "$address" ] || sleep 0.1
done

cat <<TEXT

  Relive is running.

    In a browser    $address/
    All sessions    websocat ws://${address#http://}/ws/sessions
    The API         $address/api/openapi.json

  Now the tour: a dozen small jobs on this machine, reported as they run.

TEXT
"$relive" run examples/tour.json --server "$address" || true
cat <<TEXT

  The server goes on until you press Ctrl-C. Your sessions are kept: the next \`make run\` finds them.

TEXT
wait "$server"
