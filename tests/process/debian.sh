# debian.sh - sourced by the long pieces that live in a Debian root: an ordinary user, a place of its own, the root
#
# user COMMAND...   run it as an ordinary user, also if we are root (then uid 1000, whether anybody is called so or not)
# $WORK             a folder that this user may reach and write: with what the pieces keep from each other
# $D                a copy of doppel that this user may reach
# need_root         make $WORK/rv, once, by `doppel root`
set -eu
umask 022
if [ "$(id -u)" = 0 ]; then
	user() { setpriv --reuid=1000 --regid=1000 --clear-groups env HOME="$WORK" USER=tester LOGNAME=tester "$@"; }
else
	user() { env HOME="$WORK" "$@"; }
fi
reachable() {
	mkdir -p "$1" || return 1
	[ "$(id -u)" != 0 ] || chown 1000:1000 "$1" || return 1
	WORK=$1; user test -w "$1" -a -x "$1" 2>/dev/null
}
reachable "$BUILD/out/debian" || reachable "/var/tmp/doppel-test-$(id -u)" || { echo "no folder that an ordinary user can write"; exit 1; }
chmod 755 "$WORK"
D=$WORK/doppel
# Copied, not linked: the user may not be able to reach the tree. Replaced by rename, for another piece may be running it.
cmp -s "$DOPPEL" "$D" || { cp "$DOPPEL" "$D.new"; chmod 755 "$D.new"; mv "$D.new" "$D"; }
guests=$TOP/scripts/guests

packages="gcc g++ libc6-dev make python3 perl git openssl xz-utils zstd bzip2 sqlite3 lua5.4 luajit golang-go nodejs
	default-jdk-headless strace gdb bc file procps libpython3.13-testsuite"

need_root() {
	[ ! -e "$WORK/rv.made" ] || return 0
	start=$(date +%s)
	# shellcheck disable=SC2086
	user "$D" root "$WORK/rv" $packages >"$OUT/root.log" 2>&1 || { tail -n 20 "$OUT/root.log"; echo "not ok doppel root"; exit 1; }
	touch "$WORK/rv.made"
	echo "note: doppel root with $(echo $packages | wc -w) packages and what they need took $(($(date +%s) - start)) s"
}

need_bench_data() {
	[ -s "$WORK/bench/sqlite3.c" ] || user sh -c 'cd "$1" && "$2/make-bench-data.sh" && rm -rf bench && mv out/bench bench' sh "$WORK" "$guests" >"$OUT/data.log" 2>&1 || :
	[ -s "$WORK/bench/data.tar" ] || { tail -n 5 "$OUT/data.log"; echo "not ok data for the checks"; exit 1; }
}

# checks ROUNDS NAME...: work.sh's checks in the root, each a case. A round that this doppel passed is not run again.
checks() {
	rounds=$1; shift
	need_root; need_bench_data
	i=0 bad=0 this="$(cksum <"$D") ${DOPPEL_ENGINE:-}"
	while [ $i -lt "$rounds" ]; do
		i=$((i + 1)) round=$OUT/round-$i
		if [ "$(cat "$round.passed" 2>/dev/null)" = "$this" ]; then
			echo "round $i passed earlier"
		else
			rm -f "$round.passed"
			user python3 "$guests/bench-user.py" --run "$D run --root {root} --fake-root -E HOME=/tmp" --bench "$WORK/bench" --log "$WORK/checks.log" "$WORK/rv" "$@" >"$round" 2>&1 &&
				echo "$this" >"$round.passed" || :
			cat "$round"
		fi
		awk -v i=$i '$2 ~ /^[0-9.]+$/ && NF > 4 { print ($5 == "ok" ? "ok " : "not ok ") $1 ", round " i }' "$round"
		[ -e "$round.passed" ] || { echo "not ok round $i"; bad=1; }
	done
	return $bad
}
