#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sources.sh PREFIX SOURCE - what src/README.md mentions exists: every link, file, folder, function,
# macro and test that it names in backquotes, and every module of its table of heap/.
set -u
source=$2
page=$source/src/README.md
export LC_ALL=C
cd "$source" || exit 1
failures=0

complain() {
	echo "src/README.md mentions '$1', which does not exist"
	failures=$((failures + 1))
}

# exists NAME: a file or folder of that name, from the root, from src or from a folder in either.
exists() {
	local at
	for at in "$1" "src/$1" src/*/"$1" tests/*/"$1" "tests/$1" "bench/$1" "include/$1"; do
		[ ! -e "$at" ] || return 0
	done
	return 1
}

# in_tree WORD: the word stands in a source file or in a file that builds or tests it.
in_tree() {
	grep -rqwF -e "$1" --include='*.[ch]' --include='*.in' --include='*.inc' \
		--include=CMakeLists.txt src include tests CMakeLists.txt
}

# The text without its blocks of code.
prose=$(awk '/^ *```/ { inside = !inside; next } !inside' "$page")
mentioned=$(grep -o '`[^`]*`' <<<"$prose" | tr -d '`' | sort -u)

# Links to files are relative to the page.
links=$(grep -o '](\([^)#:]*\))' <<<"$prose" | sed 's/^](//; s/)$//' | sort -u)
for link in $links; do
	[ -e "src/$link" ] || complain "$link"
done

nchecked=0
while read -r word; do
	case $word in
	*' '* | *'<'* | *'='* | *'*'* | *NAME* | *MODULE* | -*) continue ;;
	*/ | */* | *.[ch] | *.sh | *.in | *.inc | *.txt | *.map | *.md)
		exists "$word" || complain "$word"
		;;
	*[a-z]*'()') in_tree "${word%()}" || complain "$word" ;;
	*[!A-Za-z0-9_]*) continue ;;
	*) in_tree "$word" || exists "$word.c" || complain "$word" ;;
	esac
	nchecked=$((nchecked + 1))
done <<<"$mentioned"

modules=$(sed -n '/^Inside `heap\/`/,/^## /s/^| `\([a-z]*\)` .*/\1/p' "$page")
for module in $modules; do
	[ -e "src/heap/$module.c" ] || complain "heap/$module"
	nchecked=$((nchecked + 1))
done
# Each folder of src has a row.
for folder in src/*/; do
	grep -q "^| \`$(basename "$folder")/\` " "$page" || {
		echo "src/README.md has no row for $folder"
		failures=$((failures + 1))
	}
done

[ "$nchecked" -ge 60 ] || complain "at least 60 names"
[ $failures = 0 ] || exit 1
echo "src/README.md mentions $nchecked names that exist"
