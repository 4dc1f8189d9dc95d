#!/bin/sh
# The TypeScript, the notes in changes/, deploy/, the planted faults, spelling, unused dependencies, and the
# licences, duplicates, sources and advisories of dependencies.
#
# The programs for spelling and dependencies are fetched once, into ./.tools, by the hashes in
# scripts/lint-tools.txt. A check whose program is missing is skipped, and one line says so; with
# CI=true it is an error. The advisory database is on GitHub, and is required only with
# ADVISORIES=required.
set -eu
cd "$(dirname "$0")/.."
pins=scripts/lint-tools.txt

# What is missing, what was not checked, and how to get it.
skip() {
    echo "lint.sh: $1: $2 NOT checked. $3" >&2
    [ "${CI:-}" != true ] || exit 1
}

lint_typescript() {
    if ! command -v npm >/dev/null; then
        skip 'npm is missing' 'TypeScript was' 'Install Node.js 20 or newer.'
        return
    fi
    for package in frontend-types dashboard sdk/react sdk/element; do (
        cd "$package"
        [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
        npm run --silent lint
    ); done
}

# Fails where they cannot be had.
install_tools() {
    cmp -s "$pins" .tools/lint/pins && return
    stage=$(mktemp -d .tools/stage.XXXXXX)
    trap 'rm -rf "$stage"' EXIT
    trap 'exit 1' HUP INT TERM
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-deps --require-hashes \
        --only-binary :all: --target "$stage/tools" -r "$pins" || return
    cp "$pins" "$stage/tools/pins"
    rm -rf .tools/lint
    # Another run may have installed the same meanwhile.
    mv "$stage/tools" .tools/lint 2>/dev/null || [ -d .tools/lint ]
}

check_with_tools() {
    typos
    cargo shear --locked
    cargo deny --locked --log-level warn check --hide-inclusion-graph licenses bans sources
    if cargo deny --locked fetch db 2>/dev/null; then
        cargo deny --locked --log-level warn check --disable-fetch advisories
    elif [ "${ADVISORIES:-}" = required ]; then
        echo 'lint.sh: the database of advisories (github.com/RustSec/advisory-db) cannot be reached.' >&2
        exit 1
    else
        echo 'lint.sh: github.com/RustSec/advisory-db cannot be reached: known vulnerabilities of dependencies were NOT looked for.' >&2
    fi
}

# The notes of changes, and what is made of them.
lint_notes() {
    if ! command -v python3 >/dev/null; then
        skip 'python3 is missing' 'the notes in changes/ were' 'Install it (Debian: apt-get install python3).'
        return
    fi
    python3 -B scripts/changelog.py check
    python3 -B scripts/test_changelog.py 2>.tools/test_changelog || { cat .tools/test_changelog >&2; exit 1; }
}

# Helm's own checks among them; what takes longer is `make deploy`.
lint_deploy() {
    sh scripts/deploy.sh files chart compose >.tools/deploy-checks
}

# The faults planted for the simulation still fit the sources.
lint_faults() {
    if ! command -v patch >/dev/null; then
        skip 'patch is missing' 'the planted faults were' 'Install it (Debian: apt-get install patch).'
        return
    fi
    sh scripts/simulate-faults.sh --check
}

mkdir -p .tools
lint_typescript
lint_notes
lint_deploy
lint_faults
if install_tools; then
    PATH="$PWD/.tools/lint/bin:$PATH"
    check_with_tools
else
    skip 'python3 with pip, or what it fetches, is missing' 'spelling and dependencies were' \
        'Install it (Debian: apt-get install python3-pip) and run this again.'
fi
