#!/bin/sh
# Plants faults, one at a time, and says after how many seeds the simulation has found each.
#
# The patches in tests/simulation/faults are applied, all of them, to a copy of the sources. Each asks
# which fault is meant, so that one build serves for all; without one the copy behaves as the original. A patch
# whose context has changed does not apply: it could end up in another place. With `--check` that is all that is
# looked at.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS='--cfg tokio_unstable'
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
faults=$PWD/tests/simulation/faults
copy=$CARGO_TARGET_DIR/faults

mkdir -p "$copy"
# Times are kept, and what has not changed is left alone, so that little is built anew.
rm -rf "$copy/crates" "$copy/src" "$copy/tests" "$copy/examples"
cp -a Cargo.toml Cargo.lock build.rs crates src tests benches examples migrations data "$copy"
for patch in "$faults"/*.patch; do
    patch -d "$copy" -p1 -s -F0 --no-backup-if-mismatch <"$patch" || { echo "does not apply: $patch" >&2; exit 1; }
done
[ "${1:-}" != --check ] || exit 0
# As an example: a test would have the server itself built and optimised beside it.
cp -a "$copy/tests/simulation" "$copy/examples/simulation"
(cd "$copy" && cargo build --locked --profile simulation --example simulation)
program=$CARGO_TARGET_DIR/simulation/examples/simulation

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
        echo "$fault: $(grep -m1 -E '^(seed|scenario) ' "$copy/$fault.txt" | cut -c1-150)"
    fi
done
exit "$missed"
