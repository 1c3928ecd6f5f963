#!/bin/sh
# SPDX-License-Identifier: MIT
#
# static_starts.sh COUNT PROGRAM... - static programs start under every option that works before
# main, COUNT times each: libc allocates while it sets itself up, and the library must not ask libc
# for what is not ready.
count=$1
shift
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
for program; do
	for options in '' efence=1 leakcheck=1 leakcheck=2 guardrate=1 guardrate=100 \
		memprofilerate=1 memprofilerate=64 hardened=1 hardened=2 sbrk=1 off=1 \
		clobberfree=1 scavthread=1 signal=10 decoratemappings=1 invalidptr=abort stats=1 \
		memlimit=10MiB hardened=1,guardrate=1,leakcheck=2 \
		efence=1,leakcheck=2,clobberfree=1; do
		case $options in
		memprofilerate*) profile=$dir/profile ;;
		*) profile= ;;
		esac
		i=0
		while [ "$i" -lt "$count" ]; do
			GOALLOC=$options GOALLOC_PROFILE=$profile "$program" >"$dir/out" 2>&1 || {
				echo "$program: GOALLOC=$options: exit status $?, start $i"
				cat "$dir/out"
				failed=1
				break
			}
			i=$((i + 1))
		done
	done
done
exit $failed
