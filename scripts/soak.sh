#!/bin/sh
# Soaks two servers on one database for MINUTES (60; fractions too) and says whether they were flat; how to read it is in
# docs/operating.md. The program is RELIVE_BINARY, or the one that `cargo build --release` or `cargo build` has built,
# whichever is newer. The results go into a folder below target/soak, or into OUTPUT.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/soak"
target=$(cd "$target" && pwd)
environment="$target/soak/python"

if ! cmp -s scripts/soak/requirements.txt "$environment/requirements.txt"; then
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r scripts/soak/requirements.txt
    cp scripts/soak/requirements.txt "$environment/requirements.txt"
fi

binary=${RELIVE_BINARY:-}
if [ -z "$binary" ]; then
    binary="$target/debug/relive"
    [ ! "$target/release/relive" -nt "$binary" ] || binary="$target/release/relive"
fi
[ -x "$binary" ] || { echo "soak.sh: there is no $binary: run cargo build --release" >&2; exit 1; }
# How it judges, on figures that are known to be flat or not.
(cd scripts/soak && "$environment/bin/python" -B -m unittest -q test_soak 2>"$target/soak/unittest") \
    || { cat "$target/soak/unittest" >&2; exit 1; }
exec "$environment/bin/python" -B scripts/soak --minutes "${MINUTES:-60}" --binary "$binary" \
    --output "${OUTPUT:-$target/soak/$(date +%Y%m%dT%H%M%S)}"
