#!/bin/sh
# Tells which of the proxies are missing that deploy/ has examples for, and the tests run. Their tests are left
# out then; with CI=true it is an error.
set -eu

missing=
for program in nginx caddy; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0
echo "proxies.sh: missing:$missing; deploy/ is NOT tested with it." >&2
echo "Install both (Debian: apt-get install --no-install-recommends nginx-light caddy)." >&2
[ "${CI:-}" != true ]
