#!/bin/sh
# Installs cargo-deb, which builds the Debian package, into .tools/cargo, unless it is there in this version.
set -eu
cd "$(dirname "$0")/../.."
# As in .github/workflows/release.yml.
CARGO_DEB=3.8.0

PATH="$PWD/.tools/cargo/bin:$PATH"
if [ "$(cargo deb --version 2>/dev/null)" != "$CARGO_DEB" ]; then
    echo "cargo-deb.sh: installing cargo-deb $CARGO_DEB into .tools/cargo" >&2
    cargo install --quiet --locked --root .tools/cargo --version "$CARGO_DEB" cargo-deb
fi
