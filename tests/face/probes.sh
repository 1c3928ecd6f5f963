#!/bin/sh
# SPDX-License-Identifier: MIT
#
# probes.sh PROGRAM [LIBRARY] - gdb stops at the probes of a program and shows what the program says
# that it allocated and freed. gdb raises the probes' semaphores, so that it needs no profile.
#
# PROGRAM is probed.c with goalloc in it. With LIBRARY it is not: a stripped copy of that one is
# preloaded. Exit status 77: there is no gdb, or it may not trace.
set -u
program=$1 library=${2-}

command -v gdb >/dev/null || exit 77
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

if [ -n "$library" ]; then
	strip -o "$scratch/stripped.so" "$library" || exit 1
	preload="set environment LD_PRELOAD $scratch/stripped.so"
fi

# session PROVIDER OPTIONS...: runs the program with them, to $scratch/seen and $scratch/said.
session() {
	provider=$1 prefix=sampled_ args='$_probe_arg0, $_probe_arg1, $_probe_arg2 % 2'
	[ "$provider" = goalloc ] || prefix='' args='$_probe_arg0, $_probe_arg1, $_probe_arg2'
	shift
	rm -f "$scratch/said"
	{
		echo 'set confirm off'
		echo 'set debuginfod enabled off'
		echo 'set startup-with-shell off'
		echo "${preload-}"
		for option; do echo "set environment $option"; done
		echo 'break main'
		echo "run $scratch/said"
		for probe in alloc free; do
			echo "break -probe-stap $provider:$prefix$probe"
			echo 'commands'
			echo 'silent'
			if [ "$prefix$probe" = free ]; then
				printf '%s\n' 'printf "free %#lx\n", $_probe_arg0'
			else
				printf '%s\n' "printf \"$probe %#lx %lu %lu\\n\", $args"
			fi
			echo 'continue'
			echo 'end'
		done
		echo 'continue'
	} >"$scratch/script"
	# A session may find that it must not trace; what else it complains of is in the report.
	gdb -nx -batch -x "$scratch/script" "$program" >"$scratch/log" 2>&1 </dev/null
	grep -Eq 'ptrace: Operation not permitted|Could not trace the inferior' "$scratch/log" &&
		exit 77
	grep -E '^(alloc|free) ' "$scratch/log" >"$scratch/seen"
}

fail() {
	echo "probes.sh: $1"
	echo "--- seen by gdb" && cat "$scratch/log"
	echo "--- said by the program" && cat "$scratch/said"
	exit 1
}

# all_seen FIRST [FORMAT]: each line from that on is seen once, in this order; libc allocates
# for itself, too. FORMAT is what awk prints of a line.
all_seen() {
	[ -s "$scratch/said" ] || fail 'the program says nothing'
	awk -v first="$1" "NR >= first { print ${2-} }" "$scratch/said" >"$scratch/want"
	awk 'NR == FNR { want[++n] = $0; next }
		$0 == want[seen + 1] { seen++ }
		END { exit n == 0 || seen != n }' \
		"$scratch/want" "$scratch/seen" || fail 'not all that the program says is seen'
}

session goalloc GOALLOC=memprofilerate=1 GOALLOC_PROFILE=/dev/null
all_seen 1

# The first slow path after main() has begun sees the semaphore: at the latest that of a big object.
# With every allocation sampled, the weight is the size.
session goalloc GOALLOC=memprofilerate=1
all_seen 31
session otel_memory GOALLOC=memprofilerate=1
all_seen 31 '($1 == "free" ? $1 " " $2 : $1 " " $2 " " $3 " " $3)'

session goalloc GOALLOC=memprofilerate=0
[ ! -s "$scratch/seen" ] || fail 'samples with memprofilerate=0'
