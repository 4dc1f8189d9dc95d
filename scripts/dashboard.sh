#!/bin/sh
# Builds the dashboard into dashboard/dist, which the server embeds when it is built.
set -eu
cd "$(dirname "$0")/../dashboard"

if ! command -v npm >/dev/null; then
    echo 'npm was not found: the server is built without its dashboard, and says so in the browser.' >&2
    exit 0
fi
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run --silent build
# For make: as new as this build, also where its text has not changed.
touch dist/index.html
