#!/bin/sh
# Generates clients from the OpenAPI document of a running server, and drives a run with each. Run by
# with-server.sh.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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
