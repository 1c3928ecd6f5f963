#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples.sh PREFIX SOURCE - executes every example of the manual pages, and those of README.md and
# recipes.md that are marked, against an installed goalloc, in the order of each text and in one
# directory each.
#
# An example is what is between .EX and .EE, or between fences in the README. Before it stands, as a
# comment,
#	example          it is for a shell: run with set -e; a leading "$ " is a prompt, and then
#	                 lines without one are output, not run
#	example FILE     it is what is in FILE
# and after it, any number of times,
#	check COMMAND    that must succeed; out and err are what the last example for a shell wrote
# A page's example without such a comment is an error. /usr/local is PREFIX, $CC a C compiler.
set -u
prefix=$1 source=$2
export LC_ALL=C CC="${CC-cc}" PATH="$prefix/bin:$PATH"
libdir=$(dirname "$(echo "$prefix"/lib*/libgoalloc.so.1)")
export PKG_CONFIG_PATH="$libdir/pkgconfig" LIBRARY_PATH="$libdir" LD_LIBRARY_PATH="$libdir" \
	CPATH="$prefix/include"
unset GOALLOC GOALLOC_STATS GOALLOC_PROFILE GOALLOC_MEMLIMIT LD_PRELOAD
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# script TEXT: what is to be done, as lines of a shell.
script() {
	awk -v prefix="$prefix" -v name="$(basename "$1")" \
		-v readme="$([ "${1##*.}" = md ] && echo 1)" '
	function fail(why) { printf "%s:%d: %s\n", name, NR, why >"/dev/stderr"; failed = 1 }
	function begin() {
		if (!marked && !readme)
			fail("an example that is not marked")
		inside = 1
		prompts = 0
		text = ""
	}
	function finish() {
		inside = 0
		if (!marked)
			return
		count++
		printf "where=%s:%d\n", name, NR
		if (file != "")
			printf "cat >%s <<\"END OF EXAMPLE\"\n%sEND OF EXAMPLE\n", file, text
		else
			printf "run <<\"END OF EXAMPLE\"\n%sEND OF EXAMPLE\n", text
		marked = 0
	}
	function mark(rest) { marked = 1; file = rest }
	function check(command) {
		printf "where=%s:%d\ncheck <<\"END OF CHECK\"\n%s\nEND OF CHECK\n",
			name, NR, command
	}
	function plain(line) {
		if (!readme) {
			if (line ~ /^[.]PP/) return ""
			gsub(/\\&/, "", line); gsub(/\\-/, "-", line); gsub(/\\\(aq/, "\047", line)
			gsub(/\\\(dq/, "\"", line)
			gsub(/\\e/, "\\", line); gsub(/\\f[A-Z]/, "", line)
		}
		gsub(/\/usr\/local/, prefix, line)
		return line
	}
	!inside && (/^[.]\\" example/ || /^<!-- example/) {
		sub(/^([.]\\"|<!--) example */, ""); sub(/ *-->$/, ""); mark($0); next
	}
	!inside && (/^[.]\\" check / || /^<!-- check /) {
		sub(/^([.]\\"|<!--) check /, ""); sub(/ *-->$/, ""); check($0); next
	}
	!inside && (readme ? /^```/ : /^[.]EX/) { begin(); next }
	inside && (readme ? /^```/ : /^[.]EE/) { finish(); next }
	inside {
		line = plain($0)
		if (file == "" && line ~ /^\$ /) {
			if (!prompts) text = ""
			prompts = 1
			text = text substr(line, 3) "\n"
		} else if (file != "" || !prompts) {
			text = text line "\n"
		}
	}
	END {
		if (marked) fail("a mark without an example")
		printf "count=%d\n", count
		exit failed
	}' "$1"
}

# In the directory of a text.
execute() {
	cat <<-'END'
	run() {
		cat >commands
		. ./commands >out 2>err </dev/null || broken "the example"
	}
	check() {
		read -r command
		eval "$command" || broken "$command"
	}
	# In an example it gives what is in the background time to start: here, until that has a
	# handler for SIGUSR1.
	sleep() {
		turns=0
		until [ $((0x$(sed -n "s/^SigCgt:[^0-9a-f]*//p" /proc/$!/status) & 0x200)) != 0 ] ||
				[ $turns = 1000 ]; do
			turns=$((turns + 1))
			command sleep .01
		done
	}
	broken() {
		echo "$where: failed: $1"
		[ ! -e commands ] || sed "s/^/	> /" commands
		sed "s/^/	/" out err 2>/dev/null | head -n 40
		kill $(jobs -p) 2>/dev/null
		exit 1
	}
	set -u
	END
	cat
}

status=0
for text in "$source"/src/man/goalloc-run.1 "$source"/src/man/goalloc.[37] \
	"$source/README.md" "$source/src/man/recipes.md"; do
	mkdir "$scratch/$(basename "$text")" && cd "$scratch/$(basename "$text")" || exit 1
	script "$text" >../script || status=1
	execute <../script >../commands
	echo 'echo "$count examples"' >>../commands
	timeout 100 bash ../commands >../result 2>&1 || status=1
	sed "s/^/$(basename "$text"): /" ../result
done
exit $status
