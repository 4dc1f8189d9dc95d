#!/bin/sh
# Puts what an image holds into a directory: the server, without its symbols, and the embedded PostgreSQL.
set -eu
[ $# = 2 ] || { echo 'usage: stage-image.sh BINARY DIRECTORY' >&2; exit 2; }
binary=$1
mkdir -p "$2/usr/bin" "$2/usr/lib/relive"
to=$(cd "$2" && pwd)
strip -o "$to/usr/bin/relive" "$binary"
chmod 755 "$to/usr/bin/relive"
sh "$(dirname "$0")/stage-postgres.sh" "$to/usr/lib/relive"
