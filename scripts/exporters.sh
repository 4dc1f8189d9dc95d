#!/bin/sh
# Exports traces to a running server by the OpenTelemetry SDKs of Python and JavaScript, and reads what became of
# them. Run by with-server.sh.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

cd "$root/tests/clients/opentelemetry/javascript"
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
node export.mjs

cd ../python
environment="$target/exporters-python"
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --require-hashes --only-binary :all: -r requirements.txt
    cp requirements.txt "$environment/requirements.txt"
fi
"$environment/bin/python" -B export.py

# The program of docs/opentelemetry.md.
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="$RELIVE_URL/v1/traces" "$environment/bin/python" -B shop.py
curl -sS "$RELIVE_URL/api/v1/sessions?name=order" | grep -q '"completed":2,' || { echo 'shop.py: no such trace' >&2; exit 1; }
