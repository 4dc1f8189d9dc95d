#!/bin/sh
# Builds the image of deploy/Dockerfile without a registry, and runs it: as its own user, on a read-only root.
#
# Where registries cannot be reached, the base image is made here by debootstrap, as `debian:bookworm-slim` is made,
# and the server and PostgreSQL are those that were built here (SERVER=prebuilt). Root is needed. $1 is the server.
set -eu
cd "$(dirname "$0")/../.."
binary=$1
# The whole image, as it is unpacked.
LIMIT=150000000
target=${CARGO_TARGET_DIR:-target}/deploy
mkdir -p "$target"
target=$(cd "$target" && pwd)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
work=$(mktemp -d)
container= running=
clean() {
    [ -z "$running" ] || runc delete --force "$running" 2>/dev/null || true
    [ -z "$container" ] || buildah umount "$container" >/dev/null 2>&1 || true
    [ -z "$container" ] || buildah rm "$container" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
fail() {
    echo "image.sh: $*" >&2
    [ ! -s "$work/log" ] || tail -n 20 "$work/log" >&2
    exit 1
}

base=localhost/relive-base
if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    if [ ! -e "$target/base/etc/debian_version" ]; then
        rm -rf "$target/base"
        debootstrap --variant=minbase bookworm "$target/base" >"$target/debootstrap.log" 2>&1 ||
            fail "debootstrap has failed: see $target/debootstrap.log"
    fi
    made=$(buildah from scratch)
    root=$(buildah mount "$made")
    cp -a "$target/base/." "$root/"
    # What the slim images leave out as well.
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/man/* \
        "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/doc/* "$root"/usr/lib/python* \
        "$root"/var/cache/debconf/*-old
    buildah umount "$made" >/dev/null
    buildah commit --quiet --rm "$made" "$base" >/dev/null
fi

rm -rf target/image
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
sh scripts/stage-image.sh "$binary" "target/image/$arch"
# Docker's format has room for the health check.
buildah build --quiet --format docker --layers=false --build-arg SERVER=prebuilt --build-arg BASE="$base" \
    --build-arg TARGETARCH="$arch" -f deploy/Dockerfile -t localhost/relive . >"$work/log" 2>&1 || fail 'the build has failed'
: >"$work/log"

container=$(buildah from localhost/relive)
root=$(buildah mount "$container")
bytes=$(du -sxb "$root" | cut -f1)
config() { buildah inspect --type image --format "{{$1}}" localhost/relive; }
[ "$(config .Docker.Config.User)" = 10001:10001 ] || fail 'the image has no user of its own'
[ "$(config .Docker.Config.StopSignal)" = SIGTERM ] || fail 'the image does not stop by SIGTERM'
config .Docker.Config.Healthcheck.Test | grep -q healthz || fail 'the image has no health check'
part() { du -sxb "$root/$1" | cut -f1 | awk '{ printf "%.0f MB", $1 / 1e6 }'; }
echo "image: $((bytes / 1000000)) MB unpacked (server $(part usr/bin/relive), PostgreSQL $(part usr/lib/relive))"
# A server of `cargo build` without --release is too large, and says nothing about the released image.
[ "$bytes" -le "$LIMIT" ] || [ "${binary%/debug/*}" != "$binary" ] || fail "the image is larger than $((LIMIT / 1000000)) MB"

# It runs by what the image says, with a volume for the data, /tmp in memory, and a network of its own.
mkdir "$work/volume"
cp -a "$root/var/lib/relive/." "$work/volume/"
chown 10001:10001 "$work/volume"
chmod 700 "$work/volume"
chmod 711 "$work"
buildah inspect --type image localhost/relive >"$work/image.json"
(cd "$work" && runc spec)
python3 - "$work" "$root" <<'END'
import json, sys
work, root = sys.argv[1:]
image = json.load(open(f"{work}/image.json"))["Docker"]["config"]
spec = json.load(open(f"{work}/config.json"))
user = int(image["User"].split(":")[0])
spec["process"].update(
    terminal=False, args=image["Entrypoint"] + image["Cmd"], env=image["Env"], cwd=image["WorkingDir"],
    user={"uid": user, "gid": user}, noNewPrivileges=True)
spec["process"]["capabilities"] = {kind: [] for kind in spec["process"]["capabilities"]}
# Not every sandbox lets a container raise its limits.
spec["process"].pop("rlimits", None)
spec["root"] = {"path": root, "readonly": True}
tmp = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
data = {"destination": "/var/lib/relive", "type": "bind", "source": f"{work}/volume", "options": ["rbind", "rw"]}
spec["mounts"] = [mount for mount in spec["mounts"] if "cgroup" not in mount["destination"]] + [tmp, data]
json.dump(spec, open(f"{work}/config.json", "w"))
json.dump(image["Healthcheck"]["Test"][1:], open(f"{work}/health.json", "w"))
END
running=relive-$$
start() {
    runc run --bundle "$work" "$running" >"$work/log" 2>&1 &
    main=$!
}
# The health check of the image, in the container.
is_healthy() {
    python3 -c 'import json, os, sys
check = json.load(open(sys.argv[1]))
os.execvp("runc", ["runc", "exec", sys.argv[2], *check])' "$work/health.json" "$running" 2>/dev/null
}
wait_until_healthy() {
    tries=0
    until is_healthy; do
        kill -0 "$main" 2>/dev/null || fail 'the container has ended'
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail 'the container is not healthy within a minute'
        sleep 0.2
    done
}
in_container() { runc exec "$running" "$@"; }
stop() {
    runc kill "$running" TERM
    wait "$main" || fail "the server ended with $? on SIGTERM"
}

start
wait_until_healthy
[ "$(in_container id -un)" = relive ] || fail 'it does not run as the user relive'
! in_container touch /usr/bin/x 2>/dev/null || fail 'the root is not read-only'
# Nobody can use it yet; a key is made inside, and data survives the container.
key=$(in_container relive keys create --role admin --name test 2>"$work/log" | tail -n 1)
[ -n "$key" ] || fail 'no key could be made'
ask() {
    pid=$(runc state "$running" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
    nsenter --target "$pid" --net curl -sS --max-time 10 -H "Authorization: Bearer $key" "$@"
}
id=$(ask http://127.0.0.1:7400/api/v1/sessions -d '{"name":"kept"}' | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
[ -n "$id" ] || fail 'no session could be made'
ask http://127.0.0.1:7400/ | grep -q '<html' || fail 'the image has no dashboard'
stop
start
wait_until_healthy
ask "http://127.0.0.1:7400/api/v1/sessions/$id" | grep -q '"kept"' || fail 'the session is gone after a new start'
stop
running=
echo 'image: runs as an ordinary user on a read-only root, is healthy, keeps its data, stops by SIGTERM'
