#!/bin/sh
# Builds the Python package as a wheel, checks its sources, and tests the wheel against a real server, in an
# environment below target/ with the versions of sdk/python/requirements.txt. The server is the one that
# `cargo build` or `cargo test` has built. Arguments are those of pytest.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
environment="$target/python"

cd sdk/python
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r requirements.txt
    cp requirements.txt "$environment/requirements.txt"
fi
PATH="$environment/bin:$PATH"

rm -rf "$environment/dist"
python -m build --no-isolation --outdir "$environment/dist" . >"$environment/build.log" 2>&1 \
    || { cat "$environment/build.log" >&2; exit 1; }
pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$environment"/dist/*.whl
ruff format --quiet --check .
ruff check --quiet .
mypy --cache-dir "$environment/mypy"
RELIVE_BINARY=${RELIVE_BINARY:-$target/debug/relive} python -m pytest -p no:cacheprovider "$@"
