#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pages.sh PREFIX SOURCE - the manual pages are formatted without a warning, and name each function
# of goalloc.h.
source=$2
type groff >/dev/null 2>&1 || exit 77
status=0
for page in goalloc-run.1 goalloc.3 goalloc.7; do
	warnings=$(groff -man -Tutf8 -ww -z -rLL=100n "$source/src/man/$page" 2>&1)
	if [ -n "$warnings" ]; then
		echo "$warnings"
		status=1
	fi
done
# Examples fit into 80 columns.
for page in "$source"/src/man/*.[137]; do
	wide=$(awk '/^[.]EX/ { inside = 1 } /^[.]EE/ { inside = 0 } inside {
		text = $0
		gsub(/\\\(aq/, "x", text); gsub(/\\f[A-Z]/, "", text)
		gsub(/\\[-e&]/, "x", text)
		if (length(text) > 80) print FILENAME ":" FNR ": wider than 80 columns" }' "$page")
	[ -z "$wide" ] || {
		echo "$wide"
		status=1
	}
done
for function in $(sed -n 's/^[a-z].*[ *]\(goalloc_[a-z_0-9]*\)(.*/\1/p' "$source/include/goalloc.h")
do
	grep -q "^[.]BR $function ()" "$source/src/man/goalloc.3" || {
		echo "goalloc(3) does not describe $function()"
		status=1
	}
done
exit $status
