#!/bin/bash
# SPDX-License-Identifier: MIT
#
# options.sh PREFIX SOURCE - compares the README and the manual pages with what they describe.
#
# OPTIONS in goalloc(7) has the options of the library's table, with the same values and defaults.
# The README's table has values, defaults and units of that table. OPTIONS in goalloc-run(1) has the
# flags of goalloc-run, names no option that does not exist, and gives no default that is not the
# option's.
set -eu
prefix=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

env -i "PATH=$PATH" LD_PRELOAD="$(echo "$prefix"/lib*/libgoalloc.so.1)" GOALLOC=help=1 true \
	2>"$scratch/printed"
# A long line goes on below.
awk '/^ {39}/ { sub(/^ +/, " "); line = line $0; next } { if (NR > 1) print line; line = $0 }
	END { print line }' "$scratch/printed" >"$scratch/joined"
mv "$scratch/joined" "$scratch/printed"
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

# A unit is the first word of an option's help: what describes the option has the word, too.
sed -n 's/^  \([a-z_]*\)  *[^ ]*  *\(milliseconds\|seconds\|percent\) .*/\1 \2/p' \
	"$scratch/printed" >"$scratch/units"
[ -s "$scratch/units" ]
while read -r option unit; do
	sed -n "/^[.]BR $option= /,/^[.]TP/p" "$source/src/man/goalloc.7" | grep -q " in $unit" ||
		echo "goalloc(7) does not say that $option is in $unit"
	grep "^| .$option. |" "$source/README.md" | grep -v -q "$unit" &&
		echo "README.md does not say that $option is in $unit"
done <"$scratch/units" >"$scratch/wrong"
cat "$scratch/wrong"
[ ! -s "$scratch/wrong" ]

# | `name` | value, value | default | meaning |, where "0..9" is "0 to 9"
sed -n 's/^| `\([a-z_]*\)` | \([^|]*\) | \([^| ]*\) | .*/\1 \2 \3/p' "$source/README.md" |
	sed 's/`//g; s/, /|/g; s/ to /../' | sort >"$scratch/readme"
[ "$(wc -l <"$scratch/readme")" -ge 8 ]
grep -vxFf "$scratch/table" "$scratch/readme" && {
	echo "these rows of the table in README.md are not what the library prints"
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

# "The default is X" in the description of a flag is the default of the option that the flag sets.
sed -n '/^[.]SH OPTIONS/,/^[.]SH EXIT STATUS/p' "$source/src/man/goalloc-run.1" | awk '
	/^[.]TP/ { initial = "" }
	/^The default is / { initial = $4; sub(/[;.,]$/, "", initial) }
	/^Sets the option$/ { sets = 1; next }
	sets && initial != "" { sub(/^[.]BR? /, ""); print $1, initial }
	{ sets = 0 }' >"$scratch/defaults"
[ -s "$scratch/defaults" ]
while read -r option initial; do
	grep -q "^$option [^ ]* $initial\$" "$scratch/table" ||
		echo "goalloc-run(1): $initial is not the default of $option"
done <"$scratch/defaults" >"$scratch/wrong"
cat "$scratch/wrong"
[ ! -s "$scratch/wrong" ]

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
