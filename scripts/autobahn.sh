#!/bin/sh
# Runs the Autobahn test suite against the echo server, from a virtual environment of its own. Arguments are
# patterns of cases, such as '6.4.*'; without any it is all but those of compression.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
environment="$target/autobahn"

if ! cat tests/autobahn/requirements.txt tests/autobahn/suite.txt | cmp -s - "$environment/installed.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    pip="$environment/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps"
    $pip --only-binary :all: -r tests/autobahn/requirements.txt
    $pip --no-build-isolation -r tests/autobahn/suite.txt
    cat tests/autobahn/requirements.txt tests/autobahn/suite.txt >"$environment/installed.txt"
fi

output=$(mktemp)
"$target/debug/examples/echo" >"$output" &
server=$!
stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -f "$output"
}
trap stop EXIT INT TERM
while ! [ -s "$output" ]; do
    kill -0 "$server" 2>/dev/null || { echo 'the echo server has ended' >&2; exit 1; }
    sleep 0.1
done
PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" tests/autobahn/run.py "ws://$(cat "$output")" "$target/autobahn-reports" "$@"
