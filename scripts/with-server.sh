#!/bin/sh
# Starts the server that `cargo build` has built, on a database of its own, and runs a command with its address in
# RELIVE_URL. Settings are taken from the environment.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$(mktemp -d)
chmod 755 "$work"

# The shell in the background opens it later, perhaps after it is first read here.
: >"$work/output"
"$target/debug/relive" serve --listen 127.0.0.1:0 --data-dir "$work/data" >"$work/output" &
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
export RELIVE_URL="$address"
"$@"
