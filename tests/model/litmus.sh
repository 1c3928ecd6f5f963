#!/bin/sh
# SPDX-License-Identifier: MIT
#
# litmus.sh [NAME...] - runs the litmus tests (litmus/span.cc, say) and their mutants: the protocols
# between threads in the weak memory order of C11. See litmus/litmus.h.
#
# Exit status 0: no error in a program, and one in each mutant. 77: no relacy, or no C++ compiler.
# Takes some 5 s of one core for a program.
set -u
here=$(cd "$(dirname "$0")" && pwd)
CXX=${CXX:-c++}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

type "$CXX" > /dev/null 2>&1 || {
	echo "skipped: no $CXX"
	exit 77
}
echo '#include <relacy/relacy.hpp>' | "$CXX" -E -x c++ - > /dev/null 2>&1 || {
	echo "skipped: no relacy (Debian package relacy-dev)"
	exit 77
}
failed=0
for name in ${*:-$(cd "$here/litmus" && echo *.cc)}; do
	name=${name%.cc}
	# Warnings about relacy's own headers are of no use.
	"$CXX" -O1 -w -o "$scratch/$name" "$here/litmus/$name.cc" && "$scratch/$name" || failed=1
done
exit $failed
