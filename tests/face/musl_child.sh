#!/bin/sh
# SPDX-License-Identifier: MIT
#
# musl_child.sh LIBRARY SOURCE - a program of musl under LD_PRELOAD of the library for glibc, as the
# child of a preloaded program, works and uses the library's heap.
#
# Exit status 77 without musl-gcc.
set -u
type musl-gcc >/dev/null 2>&1 || {
	echo "musl_child.sh: skipped, no musl-gcc"
	exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
musl-gcc -O1 -fno-builtin "$2" -o "$work/child" || exit 1
LD_PRELOAD=$1 GOALLOC=stats=$work/stats sh -c '"$1"' sh "$work/child" || {
	echo "musl_child.sh: the program ended with $?"
	exit 1
}
grep -q "^goalloc: child" "$work/stats" || {
	echo "musl_child.sh: the program did not use the library"
	exit 1
}
