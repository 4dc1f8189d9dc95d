#!/bin/sh
# Exports traces to a running server by the OpenTelemetry SDKs of Python and JavaScript, and through a collector, and
# reads what became of them. Run by with-server.sh.
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

# A collector: what takes OTLP, gathers it, and sends it on as its own. Where there is no package of it, it is passed
# over.
collector="$target/exporters-collector"
if ! cmp -s ../collector/requirements.txt "$collector/requirements.txt"; then
    rm -rf "$collector"
    python3 -m venv "$collector"
    if ! "$collector/bin/pip" install --quiet --no-deps --require-hashes --only-binary :all: \
        -r ../collector/requirements.txt; then
        echo 'exporters.sh: there is no collector for this machine: exports through one were NOT tested.' >&2
        [ "${CI:-}" != true ] || exit 1
        exit 0
    fi
    cp ../collector/requirements.txt "$collector/requirements.txt"
fi
free() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free)
"$collector"/lib/python3*/site-packages/rotel/rotel-agent start --otlp-http-endpoint "127.0.0.1:$port" \
    --otlp-grpc-endpoint "127.0.0.1:$(free)" --exporter otlp --otlp-exporter-endpoint "$RELIVE_URL" \
    --otlp-exporter-protocol http --otlp-exporter-compression gzip >"$collector/output" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true' EXIT INT TERM
until curl -s -o "$collector/answer" "http://127.0.0.1:$port/"; do
    kill -0 "$pid" 2>/dev/null || { cat "$collector/output" >&2; exit 1; }
    sleep 0.1
done
EXPORT_TO="http://127.0.0.1:$port/v1/traces" "$environment/bin/python" -B export.py
