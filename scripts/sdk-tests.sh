#!/bin/sh
# The TypeScript packages below sdk/: their checks, and their tests against the server that cargo has built. Those of
# the web component in a browser are run by browser-tests.sh. With ALL=1 or CI=true also the client in Node, Deno and
# Bun.
set -eu
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
    echo 'sdk-tests.sh: npm is missing: the packages below sdk/ were NOT tested. Install Node.js 20 or newer.' >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi

# The hooks are built with the types of this package.
(cd frontend-types && node scripts/prepare.mjs)
for package in sdk/react sdk/element; do (
    cd "$package"
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund --ignore-scripts
    npm run --silent check
    npm test --silent
); done

if [ "${ALL:-}" = 1 ] || [ "${CI:-}" = true ]; then
    sh scripts/runtimes.sh
fi
