#!/bin/sh
# Puts what a package has beside the server into target/package: the embedded PostgreSQL, manual pages, and completions
# for shells. $1 is the server, which writes the last two itself.
set -eu
[ $# = 1 ] || { echo 'usage: stage-package.sh SERVER' >&2; exit 2; }
server=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."
sh scripts/stage-postgres.sh target/package
rm -rf target/package/man target/package/completions
mkdir -p target/package/completions
"$server" man target/package/man
for shell in bash zsh fish; do
    "$server" completions "$shell" >"target/package/completions/relive.$shell"
done
