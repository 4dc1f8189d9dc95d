#!/bin/sh
# The TypeScript client in Node, Deno and Bun, against the server that cargo has built.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
target=$(cd "$target" && pwd)
work=$(mktemp -d)
chmod 755 "$work"

: >"$work/output"
RELIVE_LOG=error "$target/debug/relive" serve --listen 127.0.0.1:0 --data-dir "$work/data" >"$work/output" &
server=$!
stop() {
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT INT TERM
address=
while [ -z "$address" ]; do
    kill -0 "$server" 2>/dev/null || { echo 'the server has ended' >&2; exit 1; }
    address=$(sed -n 's|^listening on \(http://.*\)|\1|p' "$work/output")
    [ -n "$address" ] || sleep 0.1
done

cd sdk/runtimes
# Their programs are fetched by scripts of these packages.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
for runtime in node 'node_modules/.bin/deno run --allow-net --allow-env --allow-read' node_modules/.bin/bun; do
    printf '%s: ' "${runtime%% *}"
    $runtime program.mjs "$address"
done

# The programs of docs/report-typescript.md.
cd ../../frontend-types
for example in quickstart steps; do
    RELIVE_URL="$address" node "examples/$example.mjs" >"$work/said"
    [ -s "$work/said" ] || { echo "$example.mjs says nothing" >&2; exit 1; }
done
