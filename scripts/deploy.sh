#!/bin/sh
# Builds and runs what deploy/ has for whole machines and clusters. Arguments are the parts: files, chart, compose,
# image, deb; without any, all of them. PROFILE is that of the server: release, or dev for one that `cargo build` has built.
#
# deb and image need Linux and root, debootstrap and Debian's packages; what is missing is named, and left out. With
# CI=true that is an error.
set -eu
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
binary="${CARGO_TARGET_DIR:-target}/$folder/relive"

skip() {
    echo "deploy.sh: $1 was NOT tested: $2" >&2
    [ "${CI:-}" != true ] || exit 1
}

# Whether everything is there that a part needs: its name, and the programs, each with Debian's package.
can() {
    part=$1
    shift
    if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
        skip "$part" 'it needs Linux and root.'
        return 1
    fi
    for need in "$@"; do
        if ! PATH="$PATH:/usr/sbin" command -v "${need%:*}" >/dev/null; then
            skip "$part" "${need%:*} is missing (Debian: apt-get install --no-install-recommends ${need#*:})."
            return 1
        fi
    done
}

build() {
    sh scripts/dashboard.sh
    cargo build --locked --profile "$profile" --bin relive
}

test_deb() {
    can deb debootstrap:debootstrap systemd-nspawn:systemd-container nsenter:util-linux curl:curl || return 0
    sh scripts/deploy/cargo-deb.sh
    PATH="$PWD/.tools/cargo/bin:$PATH"
    build
    sh scripts/deploy/deb.sh "$profile"
}

test_image() {
    can image debootstrap:debootstrap buildah:buildah runc:runc nsenter:util-linux curl:curl || return 0
    build
    sh scripts/deploy/image.sh "$binary"
}

# Helm, the schemas of Kubernetes and a parser of compose files, in an environment of their own.
python_checks() {
    environment=.tools/deploy
    if ! cmp -s scripts/deploy/requirements.txt "$environment/requirements.txt"; then
        rm -rf "$environment"
        if ! { python3 -m venv "$environment" &&
            "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
                -r scripts/deploy/requirements.txt; }; then
            skip "$1" 'python3 (3.11 or newer) with venv, or what it fetches, is missing.'
            return
        fi
        cp scripts/deploy/requirements.txt "$environment/requirements.txt"
    fi
    "$environment/bin/python" -B "scripts/deploy/$1.py"
}

[ $# -gt 0 ] || set -- files chart compose image deb
mkdir -p .tools
for part in "$@"; do
    case $part in
        deb) test_deb ;;
        image) test_image ;;
        files | chart | compose) python_checks "$part" ;;
        *)
            echo "deploy.sh: there is no part $part" >&2
            exit 2
            ;;
    esac
done
