#!/bin/bash
# SPDX-License-Identifier: MIT
#
# options.sh PREFIX SOURCE - compares the manual pages with what they describe.
#
# OPTIONS in goalloc(7) has the options of the library's table, with the same values and defaults.
# OPTIONS in goalloc-run(1) has the flags of goalloc-run, and names no option that does not exist.
set -eu
prefix=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

env -i "PATH=$PATH" LD_PRELOAD="$(echo "$prefix"/lib*/libgoalloc.so.1)" GOALLOC=help=1 true \
	2>"$scratch/printed"
sed -n 's/^  \([a-z_]*\)  *\([^ ]*\)  *.*\[\(.*\)\]$/\1 \2 \3/p' "$scratch/printed" |
	sort >"$scratch/table"
[ "$(wc -l <"$scratch/table")" -ge 20 ] &&
	[ "$(wc -l <"$scratch/table")" = "$(wc -l <"$scratch/printed")" ]

# .BR name= "values (default)"
sed -n '/^[.]SH OPTIONS/,/^[.]SH SIGNAL/p' "$source/src/man/goalloc.7" |
	sed -n 's/^[.]BR \([a-z_]*\)= "\([^ ]*\) (\(.*\))"$/\1 \2 \3/p' | sort >"$scratch/page"
diff -u --label "the library" --label "goalloc(7)" "$scratch/table" "$scratch/page" || {
	echo "OPTIONS in src/man/goalloc.7 is not what the library prints"
	exit 1
}

# The page's flags are the entries of its OPTIONS: the line after .TP.
"$prefix/bin/goalloc-run" --help | sed -n 's/^  *\(-.*\)/\1/p' | sed 's/  .*//' |
	grep -o -e '--[a-z-]*' | sort -u >"$scratch/told"
[ "$(wc -l <"$scratch/told")" -ge 10 ]
sed -n '/^[.]SH OPTIONS/,/^[.]SH EXIT STATUS/p' "$source/src/man/goalloc-run.1" |
	sed -n '/^[.]TP/{n;s/\\-/-/g;p;}' | grep -o -e '--[a-z-]*' | sort -u >"$scratch/flags"
diff -u --label "goalloc-run --help" --label "goalloc-run(1)" "$scratch/told" "$scratch/flags" || {
	echo "the flags in src/man/goalloc-run.1 are not those of goalloc-run --help"
	exit 1
}

# Each option and variable that a flag is said to set is one of the library's.
sed -n '/^[.]SH OPTIONS/,/^[.]SH EXIT STATUS/p' "$source/src/man/goalloc-run.1" |
	sed -n '/^Sets\( the options*\)*$/,/[.]$/p' | sed -n 's/^[.]BR* \([a-z][a-z]*\).*/\1/p' |
	sort -u >"$scratch/set"
[ "$(wc -l <"$scratch/set")" -ge 5 ]
while read -r option; do
	grep -q "^$option " "$scratch/table" || echo "goalloc-run(1): there is no option $option"
done <"$scratch/set" >"$scratch/wrong"
cat "$scratch/wrong"
[ ! -s "$scratch/wrong" ]
noptions=$(wc -l <"$scratch/table") nflags=$(wc -l <"$scratch/flags")
echo "the pages have the $noptions options and $nflags flags as they are"
