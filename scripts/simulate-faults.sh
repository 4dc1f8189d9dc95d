#!/bin/sh
# Plants faults, one at a time, and says after how many seeds the simulation has found each.
#
# The patches in tests/simulation/faults are applied, all of them, to a copy of the sources. Each asks
# which fault is meant, so that one build serves for all; without one the copy behaves as the original.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS='--cfg tokio_unstable'
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
faults=$PWD/tests/simulation/faults
copy=$CARGO_TARGET_DIR/faults

mkdir -p "$copy"
# Times are kept, and what has not changed is left alone, so that little is built anew.
rm -rf "$copy/src" "$copy/tests"
cp -a Cargo.toml Cargo.lock build.rs src tests benches examples migrations data "$copy"
mkdir -p "$copy/dashboard/dist" && cp -a dashboard/dist/. "$copy/dashboard/dist" 2>/dev/null || true
for patch in "$faults"/*.patch; do
    patch -d "$copy" -p1 -s --no-backup-if-mismatch <"$patch" || { echo "does not apply: $patch" >&2; exit 1; }
done
program=$(cd "$copy" && cargo test --locked --profile simulation --test simulation --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*simulation-[^"]*\)".*/\1/p')

export SEEDS="${SEEDS:-20000}" ENOUGH=1
missed=0
FAULT= "$program" >/dev/null || { echo 'seeds fail without any fault' >&2; exit 1; }
for patch in "$faults"/*.patch; do
    fault=$(basename "$patch" .patch | cut -c4-)
    [ "$fault" = switch ] && continue
    if FAULT="$fault" "$program" >"$copy/$fault.txt"; then
        echo "$fault: NOT FOUND in $SEEDS seeds"
        missed=$((missed + 1))
    else
        echo "$fault: $(sed -n '2s/^seed \([0-9]*\): /seed \1: /p' "$copy/$fault.txt" | cut -c1-150)"
    fi
done
exit "$missed"
