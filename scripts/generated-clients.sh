#!/bin/sh
# Generates clients from the OpenAPI document of a running server, and drives a run with each.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
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

cd tests/clients/typescript
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
rm -rf build && mkdir build
node -e 'fetch(process.env.RELIVE_URL + "/api/openapi.json").then((answer) => answer.text()).then((text) => require("fs").writeFileSync("build/openapi.json", text))'
npm run --silent generate
npm run --silent drive

cd ../python
environment="$target/generated-clients-python"
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --require-hashes --only-binary :all: -r requirements.txt
    cp requirements.txt "$environment/requirements.txt"
fi
"$environment/bin/openapi-python-client" generate --path ../typescript/build/openapi.json --config config.yaml \
    --output-path "$work/python" --meta none >"$work/generated" 2>&1 || { cat "$work/generated" >&2; exit 1; }
if grep -qi 'warning' "$work/generated"; then
    cat "$work/generated" >&2
    exit 1
fi
mkdir "$work/packages" && mv "$work/python" "$work/packages/relive_client"
PYTHONPATH="$work/packages" "$environment/bin/python" drive.py
