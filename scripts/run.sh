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
trap 'exit 0' INT TERM

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

  Now the tour: a dozen small jobs on this machine, reported as they run. Beside it the server runs a
  workflow of its own, which will wait for your answer.

TEXT
# Asks the server, with the key in RELIVE_TOKEN if there is one; others on this machine see arguments.
ask() {
    if [ -n "${RELIVE_TOKEN:-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$RELIVE_TOKEN" | curl -sS --config - "$@"
    else
        curl -sS "$@"
    fi
}
# Sends JSON and prints the id in the answer; a tour is no reason to fail.
post() {
    ask -H 'Content-Type: application/json' -d "$2" "$address/api/v1$1" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p' || true
}
review=
if ! command -v curl >/dev/null; then
    echo '  There is no curl here, so the workflow on the server is left out.'
elif [ "$(ask -o /dev/null -w '%{http_code}' "$address/api/v1/workflows?limit=1" || true)" = 401 ]; then
    echo '  A key was made for this server, and it needs one now: start it with the key in RELIVE_TOKEN to see the tour.'
else
    graph=$(cat examples/engine-tour.json)
    # Kept once, to be chosen in the browser; the session has its own copy.
    ask "$address/api/v1/workflows?limit=200" | grep -q '"name":"Engine tour"' ||
        post /workflows "{\"name\":\"Engine tour\",\"graph\":$graph}" >/dev/null
    review=$(post /sessions "{\"graph\":$graph,\"driver\":\"builtin\",\"proposal\":\"Less is more.\"}")
    post "/sessions/$review/control" '{"action":"start"}'
fi
"$relive" run examples/tour.json --server "$address" || true
if [ -n "$review" ]; then
    key=
    [ -z "${RELIVE_TOKEN:-}" ] || key="-H \"Authorization: Bearer \$RELIVE_TOKEN\" "
    cat <<TEXT

  The server's own workflow waits for a review. Answer in the browser, or here:

    curl $key-H 'Content-Type: application/json' -d '{"nodeId":"review","action":"approve","reviewer":"you"}' \\
        $address/api/v1/sessions/$review/review
TEXT
fi
cat <<TEXT

  The server goes on until you press Ctrl-C. Your sessions are kept: the next \`make run\` finds them.

TEXT
wait "$server"
