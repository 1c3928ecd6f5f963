#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tie.sh [--renew | --try] - ties the models to the source that they are models of.
#
# A model, or a litmus test (litmus/*.cc), names the function it has a part of in a comment, as
# f(). modelled.txt has each of these functions with a fingerprint of its text, without comments and
# white space. Exit status 1, with what to do, when
#   - a function has changed since the table was written: look at the models that name it, then
#     --renew;
#   - a model names a function that src/ does not have, or that is not in the table; or the table
#     one that no model names;
#   - an atomic_ call in one of the files of ATOMICS is in no function that a model names, nor in
#     EXCEPTIONS.
# --renew  writes the table anew: after the models were looked at.
# --try    breaks a copy of the source in each of these ways and expects to be told.
set -u
here=$(cd "$(dirname "$0")" && pwd)
SRC=${SRC:-$here/../../src}
TABLE=${TABLE:-$here/modelled.txt}
MODELS=${MODELS:-$here}
export LC_ALL=C

# Files whose atomic accesses are all modelled, but for those in these functions.
ATOMICS="mspan.h mspan.c mcentral.c thread.h thread.c start.c fork.c tracer.h tracer.c
	pagemap.h pagemap.c bigcache.h lock.c forked.h forked.c"
EXCEPTIONS="
init_common          before the span is in the page map: nobody else knows the record
mspan_check          reads, in tests and debug builds
mspan_owner_relaxed  the models have its load where it is called
mspan_set_grown      a big object: the program gives it from thread to thread
slot_state           state bytes: the models have them as what is live or out
slot_set             the same
mspan_set_released   a figure
mspan_count_released the same
mspan_has_remote     a hint: who acts on it takes the span and absorbs
begin_pass           hints: mcentral.pass decides under the lock
begin_late_pass      the same
begin_growth_pass    the same
pass_is_done         the same
count_released_locked  a hint, on which only what is kept depends
pagemap_nbytes       a figure
window_end_locked    stored under the lock that the caller holds
map_of_site_locked   before the part of the map is published
note_mapped          mapped_words: who has a page has synchronised with those who had it
clear_row            the same
pagemap_clear        the same
pagemap_each_span    reads as entry_of() does
lock_init            before another thread knows the lock
lock_acquire         holder: a thread compares it with itself
lock_try             the same
lock_try_ms          the same
lock_held            the same
forked_look_in_handler  a child with one thread
forked_settle        a process with one thread
"

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# functions FILE...: a line for each function: file, name, number of atomic_ calls, text; "-" for
# what is in none.
functions() {
	for file; do
		awk -v file="$(basename "$file")" '
		{ all = all $0 "\n" }
		function calls(s) { return gsub(/atomic_[a-z_]+[(]/, "", s) }
		END {
			while ((i = index(all, "/*")) > 0) {
				code = code substr(all, 1, i - 1)
				all = substr(all, i + 2)
				all = substr(all, index(all, "*/") + 2)
			}
			n = split(code all, line, "\n")
			for (i = 1; i <= n; i++) {
				l = line[i]
				if (body) {
					text = text l
					if (l != "}")
						continue
					body = 0
					count = calls(text)
					gsub(/[ \t]/, "", text)
					print file "\t" name "\t" count "\t" text
					sig = ""
				} else if (l == "{" && match(sig, /[A-Za-z_][A-Za-z_0-9]*[(]/)) {
					name = substr(sig, RSTART, RLENGTH - 1)
					text = sig l
					body = 1
				} else {
					loose += calls(l)
					if (l ~ /^[A-Za-z_].*[(]/ && l !~ /[;{}]$/)
						sig = l
					else if (sig != "" && l ~ /^[ \t]/ && l !~ /;$/)
						sig = sig l
					else
						sig = ""
				}
			}
			print file "\t-\t" loose + 0 "\t"
		}' "$file"
	done
}

# A line for each function that a model names: name, model.
names() {
	for model in "$MODELS"/*.pml "$MODELS"/litmus/*.cc; do
		awk '
		{ all = all $0 "\n" }
		END {
			while ((i = index(all, "/*")) > 0) {
				all = substr(all, i + 2)
				end = index(all, "*/")
				comment = comment " " substr(all, 1, end - 1)
				all = substr(all, end + 2)
			}
			while (match(comment, /[a-z_][a-z_0-9]*[(][)]/)) {
				print substr(comment, RSTART, RLENGTH - 2)
				comment = substr(comment, RSTART + RLENGTH)
			}
		}' "$model" | sort -u | sed "s/\$/ $(basename "$model")/"
	done
}

failed=0
complain() {
	echo "$*"
	failed=1
}

who_names() {
	sed -n "s/^$1 //p" "$scratch/names" | tr '\n' ' '
}

check() {
	functions $(find "$SRC" -name "*.[ch]" | sort) > "$scratch/functions"
	names > "$scratch/names"

	# What the table should be: a name may be one of several files' own functions.
	cut -d' ' -f1 "$scratch/names" | sort -u > "$scratch/named"
	while read -r name; do
		grep "	$name	" "$scratch/functions" > "$scratch/found" || {
			complain "$(who_names "$name"): names $name(), which src/ does not have"
			continue
		}
		while IFS='	' read -r file name count text; do
			print=$(printf '%s' "$text" | sha256sum | cut -c1-16)
			echo "$file $name $print"
		done < "$scratch/found"
	done < "$scratch/named" > "$scratch/table"
	grep -v '^[a-z_]*\.[ch] ' "$scratch/table"
	sed -i '/^[a-z_]*\.[ch] /!d' "$scratch/table"
	sort -o "$scratch/table" "$scratch/table"
	if [ "$1" = renew ]; then
		cp "$scratch/table" "$TABLE" || exit 1
		echo "$(wc -l < "$TABLE") functions in modelled.txt"
	fi

	while read -r file name print; do
		was=$(sed -n "s/^$file $name //p" "$TABLE")
		if [ -z "$was" ]; then
			complain "$(who_names "$name"): names $name() of $file, which is" \
				"not in modelled.txt: tests/model/tie.sh --renew"
		elif [ "$was" != "$print" ]; then
			complain "$file: $name() has changed. See whether what" \
				"$(who_names "$name")has of it is still so, then:" \
				"tests/model/tie.sh --renew"
		fi
	done < "$scratch/table"
	while read -r file name print; do
		grep -q "^$file $name " "$scratch/table" ||
			complain "modelled.txt: $name() of $file is gone, or no model names it:" \
				"tests/model/tie.sh --renew"
	done < "$TABLE"

	for file in $ATOMICS; do
		grep "^$file	" "$scratch/functions" > "$scratch/found"
		while IFS='	' read -r file name count text; do
			[ "$count" = 0 ] && continue
			grep -q "^$name\$" "$scratch/named" && continue
			printf '%s' "$EXCEPTIONS" | grep -q "^$name " ||
				complain "$file: no model names $name(), which has $count atomic_" \
					"calls: model it, or give a reason in EXCEPTIONS of tie.sh"
		done < "$scratch/found"
	done
	printf '%s' "$EXCEPTIONS" | sed '/^$/d; s/ .*//' > "$scratch/exceptions"
	while read -r name; do
		grep -q "	$name	[1-9]" "$scratch/functions" ||
			complain "tie.sh: EXCEPTIONS has $name(), which has no atomic_ call"
		grep -q "^$name\$" "$scratch/named" &&
			complain "tie.sh: EXCEPTIONS has $name(), which a model names"
	done < "$scratch/exceptions"
}

# expect SAYS SED-SCRIPT FILE: the change of a copy of src/ or tests/model/ must be told.
expect() {
	rm -rf "$scratch/try"
	mkdir "$scratch/try" "$scratch/try/model"
	cp -r "$SRC" "$scratch/try/src"
	cp -r "$here"/*.pml "$here/litmus" "$TABLE" "$scratch/try/model"
	sed -i "$2" "$scratch/try/$3"
	if SRC=$scratch/try/src MODELS=$scratch/try/model \
			TABLE=$scratch/try/model/modelled.txt \
			sh "$here/tie.sh" > "$scratch/said"; then
		echo "MISSED  $1"
		failed=1
	elif grep -q -e "$1" "$scratch/said"; then
		echo "told    $1"
	else
		echo "MISSED  $1; told instead:"
		cat "$scratch/said"
		failed=1
	fi
}

case ${1-} in
--renew) check renew ;;
--try)
	expect 'mspan.c: let_go() has changed.*span.pml' \
		's/credit, n, memory_order_relaxed) <= n/credit, n, memory_order_relaxed) < n/' \
		src/heap/mspan.c
	expect 'names mcentral_put(), which src/ does not have' \
		's/^void mcentral_put(/void mcentral_give(/' src/heap/mcentral.c
	expect 'names mheap_used_bytes() of mheap.c, which is not in modelled.txt' \
		's/mspan_absorb()/mheap_used_bytes()/' model/tiny.pml
	expect 'no model names mspan_shape(), which has 1 atomic_ calls' \
		'/^unsigned mspan_shape/,/^}/s/sc == SPANCLASS_TINY/atomic_load(\&shared) == sc/' \
		src/heap/mspan.c
	expect 'no model names -(), which has 1 atomic_ calls' \
		'$a#define PEEK(s) atomic_load(\&(s)->owner)' src/heap/mspan.h
	expect 'modelled.txt: share() of mcache.c is gone, or no model names it' \
		'$amcache.c share 0' model/modelled.txt
	;;
'') check look ;;
*)
	sed -n '3,15s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
[ $failed = 0 ] && [ "${1-}" = '' ] &&
	echo "$(wc -l < "$TABLE") functions are as the models have them"
exit $failed
