# Runs a postmaster on a watchdog: `sh -c <this> watchdog postgres -D ...`, with a pipe as its input that
# nobody writes to. The pipe ends when relive closes it or when relive ends, be it by `kill -9`;
# then the postmaster is told to end too. This shell ends when the postmaster has, with its status.

# A service manager signals all processes at once. relive decides when its database goes, and the
# postmaster sets its own handlers for these.
trap '' HUP INT TERM

exec 3<&0 </dev/null

"$@" 3<&- &
postmaster=$!

# SIGINT is PostgreSQL's fast shutdown; saying it twice does no harm, and the first one may come
# before the postmaster is ready to hear it.
{
    while read -r _ <&3; do :; done
    while kill -INT "$postmaster"; do sleep 1; done
} >/dev/null 2>&1 &
watcher=$!

exec 3<&-
wait "$postmaster"
status=$?
kill -KILL "$watcher"
exit "$status"
