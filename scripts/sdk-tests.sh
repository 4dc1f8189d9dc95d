#!/bin/sh
# The TypeScript packages below sdk/: their checks, their tests against the server that cargo has built, and the web
# component in a browser. With ALL=1 or CI=true also the client in Deno and Bun.
set -eu
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
    echo 'sdk-tests.sh: npm is missing: the packages below sdk/ were NOT tested. Install Node.js 20 or newer.' >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi

# React's tests use the built types.
[ -f frontend-types/dist/cjs/package.json ] || (cd frontend-types && npm run --silent build)
for package in sdk/react sdk/element; do (
    cd "$package"
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund --ignore-scripts
    npm run --silent check
    npm test --silent
); done

if [ "${ALL:-}" = 1 ] || [ "${CI:-}" = true ]; then
    sh scripts/runtimes.sh
fi
