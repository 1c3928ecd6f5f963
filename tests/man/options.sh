#!/bin/bash
# SPDX-License-Identifier: MIT
#
# options.sh PREFIX SOURCE - OPTIONS in goalloc(7) and the table of the library have the same options, with the same values and defaults;
# the flags of goalloc-run are in the page; the README tells of no option that there is not.
set -eu
prefix=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

env -i "PATH=$PATH" LD_PRELOAD="$(echo "$prefix"/lib*/libgoalloc.so.1)" GOALLOC=help=1 true 2>"$scratch/printed"
sed -n 's/^  \([a-z_]*\)  *\([^ ]*\)  *.*\[\(.*\)\]$/\1 \2 \3/p' "$scratch/printed" | sort >"$scratch/table"
[ "$(wc -l <"$scratch/table")" -ge 20 ] && [ "$(wc -l <"$scratch/table")" = "$(wc -l <"$scratch/printed")" ]

# .BR name= "values (default)"
sed -n '/^[.]SH OPTIONS/,/^[.]SH SIGNAL/p' "$source/src/man/goalloc.7" |
	sed -n 's/^[.]BR \([a-z_]*\)= "\([^ ]*\) (\(.*\))"$/\1 \2 \3/p' | sort >"$scratch/page"
diff -u --label "the library" --label "goalloc(7)" "$scratch/table" "$scratch/page" || {
	echo "OPTIONS in src/man/goalloc.7 is not what the library prints"
	exit 1
}

"$prefix/bin/goalloc-run" --help | sed -n 's/^ .*\(--[a-z-]*\).*  .*/\1/p' | sed 's/-/\\\\-/g' |
	while read -r flag; do
		sed -n '/^[.]SH GOALLOC-RUN/,/^[.]SH ENVIRONMENT/p' "$source/src/man/goalloc.7" | grep -q -e "^[.]B.* *$flag" ||
			echo "goalloc(7) does not tell of $flag"
	done >"$scratch/flags"
cat "$scratch/flags"
[ ! -s "$scratch/flags" ]
echo "goalloc(7) tells of the $(wc -l <"$scratch/table") options as they are"
