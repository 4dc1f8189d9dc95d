#!/bin/sh
# Builds the dashboard into dashboard/dist, which the server embeds when it is built.
set -eu
cd "$(dirname "$0")/../dashboard"

if ! command -v npm >/dev/null; then
    echo 'npm was not found: the server is built without its dashboard, and says so in the browser.' >&2
    exit 0
fi
# An older one installs packages that it cannot run, and then fails in one of them.
if ! node -e 'const [major, minor] = process.versions.node.split(".").map(Number)
process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'; then
    echo "Building the dashboard needs Node.js 20.19 or newer, and this is $(node --version)." >&2
    echo 'With npm: npx --yes --package=node@22 -- make dashboard' >&2
    exit 1
fi
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run --silent build
# For make: as new as this build, also where its text has not changed.
touch dist/index.html
