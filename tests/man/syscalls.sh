#!/bin/bash
# SPDX-License-Identifier: MIT
#
# syscalls.sh PREFIX SOURCE - compares SYSTEM CALLS of goalloc(7) with the source and with the test
# that runs under a filter.
#
# The page lists exactly the calls that the library in src/ makes, and those that libc makes for
# it. The calls that face.syscalls lets pass are those of the page, and for the allocator those of
# its first part.
set -eu
source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

# tags BEGIN END: the calls in the tags of the page from one heading to another.
tags() {
	sed -n "/^[.]S[HS] $1\$/,/^[.]S[HS] $2\$/p" "$source/src/man/goalloc.7" |
		sed -n '/^[.]TP/{n;s/^[.]BR* //;s/", "//g;p;}' | tr -s ' ' '\n' | sort
}

# names_in FILE...: the calls that are named as SYS_NAME.
names_in() {
	grep -ohE '\bSYS_[a-z0-9_]+' "$@" | sed 's/^SYS_//' | sort -u
}

tags "SYSTEM CALLS" LIMITS >"$scratch/page"
tags "Calls of the allocator" "Calls of the tools" >"$scratch/allocator"
[ "$(wc -l <"$scratch/allocator")" -ge 10 ]
twice=$(uniq -d "$scratch/page")
[ -z "$twice" ] || { echo "SYSTEM CALLS lists twice: $twice"; exit 1; }

# abort(3), sigaction(2) and the return of a handler are libc's. exit(2) is made by number where the
# helper of the leak finder ends. The kernel makes restart_syscall(2) in threads that were stopped.
{
	# src/view is a program of its own.
	find "$source/src" -name view -prune -o -name '*.[ch]' -print0 |
		xargs -0 grep -ohE '\bSYS_[a-z0-9_]+' | sed 's/^SYS_//'
	echo exit
	echo restart_syscall
	echo rt_sigaction
	echo rt_sigreturn
	echo tgkill
} | sort -u >"$scratch/source"
diff -u --label src --label "goalloc(7)" "$scratch/source" "$scratch/page" || {
	echo "SYSTEM CALLS in src/man/goalloc.7 does not list the calls that src makes"
	exit 1
}

sed -n '/^static const int allowed_by_tools/,/^};/p' "$source/tests/face/test_syscalls.c" |
	names_in - | diff -u --label "face.syscalls tools" --label "goalloc(7)" - "$scratch/page"

# The test's own end and its sleep are not the library's.
sed -n '/^static const int allowed\[\]/,/^};/p' "$source/tests/face/test_syscalls.c" |
	names_in - | grep -vx -e exit -e exit_group -e clock_nanosleep >"$scratch/allowed"
[ "$(wc -l <"$scratch/allowed")" -ge 10 ]
comm -23 "$scratch/allowed" "$scratch/allocator" >"$scratch/missing"
[ ! -s "$scratch/missing" ] || {
	echo "face.syscalls allows calls that goalloc(7) does not list for the allocator:"
	cat "$scratch/missing"
	exit 1
}
# Without options glibc's calls suffice, and the page says so.
sed -n '/^Without options$/,/^suffice/p' "$source/src/man/goalloc.7" |
	sed -n 's/^[.]BR* \([a-z]*\).*/\1/p' | sort >"$scratch/suffice"
sed -n '/^static const int allowed_by_glibc/,/^};/p' "$source/tests/face/test_syscalls.c" |
	names_in - | grep -vx -e exit -e exit_group -e clock_nanosleep -e write -e brk |
	diff -u --label face.syscalls --label "goalloc(7)" - "$scratch/suffice" || {
	echo "goalloc(7) and face.syscalls disagree on what suffices without options"
	exit 1
}
echo "the page lists the $(wc -l <"$scratch/page") system calls as they are"
