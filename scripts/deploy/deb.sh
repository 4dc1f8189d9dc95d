#!/bin/sh
# Builds the Debian package twice, and has it installed, started, changed, upgraded, removed and purged in a Debian of
# its own: a root made by debootstrap, with systemd as its first process and a network of its own (systemd-nspawn).
# Root is needed. $1 is the profile whose server is packed: release, or dev.
set -eu
cd "$(dirname "$0")/../.."
profile=$1
target=${CARGO_TARGET_DIR:-target}/deploy
mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$(mktemp -d)
machine=
clean() {
    if [ -n "$machine" ]; then
        kill -TERM "$machine" 2>/dev/null || true
        wait "$machine" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
fail() {
    echo "deb.sh: $*" >&2
    [ -z "$machine" ] || inside journalctl --no-pager --lines 30 --unit relive >&2 || true
    exit 1
}

case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
sh scripts/stage-package.sh "${CARGO_TARGET_DIR:-target}/$folder/relive"
# The best compression takes long, and is for what is released.
fast=--fast
[ "$profile" != release ] || fast=
cargo deb --quiet --no-build --profile "$profile" --strip $fast --deb-version 0.0.1-1 -o "$work/relive_1.deb" \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# The next version is the same but for its number.
dpkg-deb --raw-extract "$work/relive_1.deb" "$work/next"
sed -i 's/^Version: .*/Version: 0.0.2-1/' "$work/next/DEBIAN/control"
dpkg-deb -Zgzip -z1 --root-owner-group --build "$work/next" "$work/relive_2.deb" >/dev/null
rm -rf "$work/next"
echo "deb: $(du -k "$work/relive_1.deb" | cut -f1) KiB, $(dpkg-deb --field "$work/relive_1.deb" Installed-Size) KiB installed"

if [ ! -e "$target/debian/usr/bin/systemctl" ]; then
    rm -rf "$target/debian"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,ca-certificates,zlib1g bookworm "$target/debian" \
        >"$target/debootstrap.log" 2>&1 || fail "debootstrap has failed: see $target/debootstrap.log"
fi
cp -a "$target/debian" "$work/root"
mkdir "$work/root/packages"
cp "$work"/relive_*.deb "$work/root/packages/"

# Without a manager of machines on this one, the machine is not registered.
systemd-nspawn --quiet --register=no --keep-unit --private-network --directory "$work/root" --boot \
    >"$work/console" 2>&1 </dev/null &
machine=$!

# systemd in the machine: the first process of its namespace.
leader() {
    for process in $(pgrep -P "$machine"); do
        [ "$(cat "/proc/$process/comm")" != systemd ] || { echo "$process"; return; }
        for child in $(pgrep -P "$process"); do
            [ "$(cat "/proc/$child/comm")" != systemd ] || { echo "$child"; return; }
        done
    done
}
inside() {
    nsenter --target "$first" --mount --uts --ipc --net --pid --root --wdns=/ \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}
# Until a command succeeds, for a minute.
until_true() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        kill -0 "$machine" 2>/dev/null || { cat "$work/console" >&2; exit 1; }
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 1
        sleep 0.2
    done
}
first=
has_leader() { first=$(leader) && [ -n "$first" ]; }
until_true has_leader || fail 'the machine does not start'
has_booted() { inside systemctl is-system-running | grep -qE 'running|degraded'; }
until_true has_booted || { cat "$work/console" >&2; fail 'systemd does not start'; }

ask() {
    path=$1
    shift
    nsenter --target "$first" --net curl -sS --fail --max-time 10 "http://127.0.0.1:$port$path" "$@"
}
is_active() { [ "$(inside systemctl is-active relive)" = active ]; }
property() { inside systemctl show --property "$1" --value relive; }

# Installed: it runs by itself, as its own user, and nobody else reads its settings and data.
port=7400
inside dpkg --install /packages/relive_1.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'it cannot be installed'; }
until_true ask /readyz || fail 'the server is not ready after the installation'
is_active || fail 'the service does not run'
[ "$(inside systemctl is-enabled relive)" = enabled ] || fail 'the service is not enabled'
[ "$(inside stat -c %U "/proc/$(property MainPID)")" = relive ] || fail 'it does not run as the user relive'
[ "$(inside stat -c '%U:%G %a' /etc/relive/relive.toml)" = 'root:relive 640' ] || fail 'others can read the settings'
[ "$(inside stat -c '%U %a' /var/lib/relive)" = 'relive 750' ] || fail 'others can read the data'
inside relive config check /etc/relive/relive.toml >/dev/null || fail 'the settings have a fault'
inside runuser -u relive -- relive keys list >/dev/null || fail 'the command line does not find the database'
for file in man/man1/relive.1 man/man1/relive-serve.1 bash-completion/completions/relive zsh/vendor-completions/_relive \
    fish/vendor_completions.d/relive.fish; do
    [ -e "$work/root/usr/share/$file" ] || [ -e "$work/root/usr/share/$file.gz" ] || fail "the package lacks $file"
done
id=$(ask /api/v1/sessions -d '{"name":"kept"}' | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
[ -n "$id" ] || fail 'no session can be made'
inside systemd-analyze verify /lib/systemd/system/relive.service >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'the unit is not valid'; }
exposure=$(inside systemd-analyze security --no-pager relive | sed -n 's/.*exposure level for relive.service: \([0-9.]*\).*/\1/p')
# PostgreSQL and the server need what is left.
awk "BEGIN { exit !($exposure < 2.5) }" || fail "systemd-analyze rates the exposure $exposure"

# Upgraded: settings that were changed are kept, and so is the data; the new server runs.
port=7401
inside sh -c "echo 'listen = \"127.0.0.1:7401\"' >>/etc/relive/relive.toml"
before=$(property MainPID)
inside dpkg --install /packages/relive_2.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'it cannot be upgraded'; }
until_true ask /readyz || fail 'the server is not ready after the upgrade'
[ "$(property MainPID)" != "$before" ] || fail 'the upgrade has not started the new server'
[ "$(inside dpkg-query --show --showformat '${Version}' relive)" = 0.0.2-1 ] || fail 'the version is not the new one'
inside grep -q 7401 /etc/relive/relive.toml || fail 'the upgrade has replaced settings'
ask "/api/v1/sessions/$id" | grep -q '"kept"' || fail 'the upgrade has lost data'

# Killed: systemd starts it again, with the data.
inside systemctl kill --signal=KILL --kill-whom=main relive
is_another() { is_active && [ "$(property NRestarts)" = 1 ] && ask "/api/v1/sessions/$id"; }
until_true is_another || fail 'it is not started again after a crash'

# Removed: nothing runs, settings and data stay. Installed again, it has them.
inside dpkg --remove relive >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'it cannot be removed'; }
inside sh -c '! grep -qs "^Uid:.$(id -u relive)\b" /proc/[0-9]*/status' || fail 'processes are left after the removal'
inside test ! -e /usr/bin/relive || fail 'the program is left after the removal'
inside test -e /etc/relive/relive.toml -a -d /var/lib/relive/data || fail 'the removal took settings or data'
inside dpkg --install /packages/relive_2.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'it cannot be installed again'; }
until_true ask "/api/v1/sessions/$id" || fail 'the data is gone after it was installed again'

# Purged: nothing is left but the account, as Debian has it.
inside dpkg --purge relive >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'it cannot be purged'; }
left=$(inside sh -c 'find /etc /usr /lib /var/lib -name "*relive*" ! -path "/var/lib/dpkg/*" ! -path /var/lib/systemd/deb-systemd-helper\*')
[ -z "$left" ] || fail "left after the purge: $left"
echo "deb: installed, started, upgraded, killed, removed, installed again and purged under systemd (exposure $exposure of 10)"
