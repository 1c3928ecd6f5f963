# SPDX-License-Identifier: MIT
#
# search.sh - sourced by run.sh and mutants.sh: one search by spin in a scratch directory.

MEMLIM=${MEMLIM:-1000}
CC=${CC:-cc}

enter_scratch() {
	scratch=$(mktemp -d) || exit 1
	trap 'rm -rf "$scratch"' EXIT
	trap 'exit 1' HUP INT TERM
	cd "$scratch" || exit 1
}

# search MODEL MACROS: 0 no error, 1 an error found, 2 the search was not carried out or not
# complete. Sets states.
search() {
	rm -f pan pan.* ./*.trail out
	# MACROS are several words.
	# shellcheck disable=SC2086
	spin $2 -a "$1" > out 2>&1 && [ -f pan.c ] &&
		$CC "${OPT:--O2}" -w -DSAFETY -DHC4 -DMEMLIM="$MEMLIM" -o pan pan.c >> out 2>&1 ||
			return 2
	./pan -m100000 > out 2>&1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
	if grep -q 'errors: 0' out && ! grep -q \
			-e 'Search not completed' -e 'max search depth too small' out; then
		return 0
	fi
	grep -q 'errors: [1-9]' out && return 1
	return 2
}

# After a search that did not return 0.
show_error() {
	cat out
	# shellcheck disable=SC2086
	[ ! -f "$(basename "$1").trail" ] || spin $2 -k "$(basename "$1").trail" -t -p -g -l "$1" |
		tail -n 400
}
