#!/bin/sh
# The tests of the dashboard and of the web component in a real browser. Skipped with a warning if there is none; an error with CI=true.
set -eu
cd "$(dirname "$0")/../dashboard"

browser=${CHROMIUM:-}
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
for place in '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' /Applications/Chromium.app/Contents/MacOS/Chromium; do
    [ -n "$browser" ] || [ ! -x "$place" ] || browser=$place
done
if [ -z "$browser" ]; then
    cat >&2 <<'TEXT'

  ****************************************************************************
  NO CHROMIUM FOUND: the tests in a browser were NOT run.
  Install one (Debian: apt-get install chromium), or name it in CHROMIUM.
  ****************************************************************************

TEXT
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi
export CHROMIUM="$browser"
npm run --silent e2e
cd ../sdk/element
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund --ignore-scripts
npm run --silent e2e
