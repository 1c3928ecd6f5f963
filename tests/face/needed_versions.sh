#!/bin/sh
# SPDX-License-Identifier: MIT
#
# needed_versions.sh LIBRARY NEWEST - the library needs no version of a glibc symbol above NEWEST
# (2.31, say), so that a system with that glibc loads it.
#
# Exit status 1 with the versions that are too new; 77 without objdump.
set -u
type objdump >/dev/null 2>&1 || {
	echo "needed_versions.sh: skipped, no objdump"
	exit 77
}
needed=$(objdump -p "$1" | sed -n '/^Version References/,$p' |
	sed -n 's/.* GLIBC_\([0-9][0-9.]*\)$/\1/p')
[ -n "$needed" ] || {
	echo "needed_versions.sh: $1 needs no version of glibc, which cannot be"
	exit 1
}
newest=$(printf '%s\n' "$needed" "$2" | sort -V | tail -n 1)
[ "$newest" = "$2" ] || {
	echo "needed_versions.sh: $1 needs GLIBC_$newest; of glibc $2 only older ones are there:"
	objdump -T "$1" | grep -F "GLIBC_$newest"
	exit 1
}
