#!/bin/sh
# abi.sh FOLDER - build each FOLDER/*.c for riscv64 and natively, run both; the native run says whether the test is right
# A line `/* args: … */` gives arguments, `/* riscv only */` means that there is nothing to compare with.
# `/* every engine */`: it is run by all five, and at another guest base; otherwise by ENGINES (default: threaded).
# The program finds the guest base in its environment, as GUEST_BASE.
# LONG=1: the arguments are those of `/* long: … */`.
set -u
export DOPPEL_HOT=0,4 # the adaptive engine, where it is asked for, optimises all that runs five times
folder=$1
cc=${CC:-cc}
warn="-Wall -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread" # wild pointers are what some of these are about
for src in "$folder"/*.c; do
	name=$(basename "$src" .c)
	args=$(sed -n 's|^/\* args: \(.*\) \*/$|\1|p' "$src")
	if [ "${LONG:-}" ]; then
		args=$(sed -n 's|^/\* long: \(.*\) \*/$|\1|p' "$src")
		[ "$args" ] || continue
	fi
	if ! $RISCV_CC -O2 -g -static -pthread $warn -D_GNU_SOURCE -o "$OUT/$name.rv" "$src" -lm; then
		echo "not ok $name: does not compile for riscv64"
		continue
	fi
	if ! grep -q '^/\* riscv only \*/$' "$src"; then
		if ! $cc -O2 -g -pthread $warn -D_GNU_SOURCE -o "$OUT/$name.native" "$src" -lm; then
			echo "not ok $name: does not compile natively"
			continue
		fi
		# shellcheck disable=SC2086
		if timeout 300 "$OUT/$name.native" $args; then
			echo "ok $name native"
		else
			echo "not ok $name native (status $?)"
		fi
	fi
	how=${ENGINES:-threaded}
	if grep -q '^/\* every engine \*/$' "$src"; then
		how="switch indirect predecoded threaded adaptive threaded@0x200000000000 adaptive@0x200000000000"
	fi
	for engine in $how; do
		base=0
		case $engine in *@*) base=${engine#*@} ;; esac
		# shellcheck disable=SC2086
		if GUEST_BASE=$base timeout "${SECONDS_MAX:-300}" "$DOPPEL" run --engine="${engine%@*}" --guest-base="$base" "$OUT/$name.rv" $args; then
			echo "ok $name $engine"
		else
			echo "not ok $name $engine (status $?)"
		fi
	done
done
