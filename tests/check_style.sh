#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check_style.sh SOURCE - the rules of .editorconfig and .clang-format that a reader notices.
#
#   - A text ends with one newline. No line has a carriage return or ends in blanks.
#   - Lines have at most 100 columns, where a tab goes to the next multiple of 8.
#   - C is indented by tabs. Its braces and blanks are those of .clang-format: a function's brace
#     stands in the first column of a line of its own, every other brace at the end of a line, an
#     else behind the brace before it, and a blank behind if, for, while and switch.
#   - In src/ a C file has at most 800 lines, and a function at most 60 between its braces.
# Manual pages, Markdown, pictures and data may have longer lines. clang-format itself is not run:
# it would undo tables and aligned comments.
# Every broken rule is reported with its file and line. Then the script fails.
set -u
cd "$1" || exit 1
export LC_ALL=C
scratch=$(mktemp) || exit 1
trap 'rm -f "$scratch"' EXIT

find CMakeLists.txt LICENSE README.md .ci .clang-format .editorconfig .github .gitignore \
	bench include src tests -type f ! -name '*.png' ! -path 'tests/fuzz/corpus/*' |
	sort >"$scratch"
[ "$(wc -l <"$scratch")" -gt 300 ] || {
	echo "$1 has only $(wc -l <"$scratch") files"
	exit 1
}

tr '\n' '\0' <"$scratch" | xargs -0 awk -v nfiles="$(wc -l <"$scratch")" '
function report(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; broken++ }
function columns(line,   parts, i, n, count) {
	gsub(/[\200-\277]/, "", line) # what follows the first byte of a character
	count = split(line, parts, "\t")
	for (i = 1; i < count; i++)
		n = int((n + length(parts[i])) / 8 + 1) * 8
	return n + length(parts[count])
}
function check_c() {
	if (FNR > 800 && FILENAME ~ /^src\// && !long_file++)
		report("the file has more than 800 lines")
	if (/^\t* {8}/)
		report("blanks at the beginning, where tabs belong")
	if (/^ *[^ *]/ && /^ /)
		report("a line begins with a blank")
	if (/^[a-z].*\)( [A-Z_]+)* \{$/ && !/^(struct|union|enum|extern|namespace) / && !/ = /)
		report("the brace of a function is not on a line of its own")
	if (/^\t+\{$/ && before !~ /[:;{}]$/ && FILENAME !~ /cc$/)
		report("a brace on a line of its own")
	if (/^\t+else/ && before ~ /^\t+\}$/)
		report("an else on the line below its brace")
	if (/(^|[^a-z_A-Z])(if|for|while|switch)\(/ && !/^ ?\*|^\t* \*|\/\*|"/)
		report("no blank behind a keyword")
	if (/[a-z]\{$/)
		report("no blank before a brace")
	if (/^\{$/)
		opened = FNR
	if (/^\}/ && opened) {
		if (FILENAME ~ /^src\// && FNR - opened - 1 > 60)
			report("the function has " (FNR - opened - 1) " lines, more than 60")
		opened = 0
	}
}
FNR == 1 {
	is_c = FILENAME ~ /\.(c|cc|h)$/
	narrow = FILENAME !~ /\.([137]|md|svg|pb|csv|txt|yml)$|-table$/ || FILENAME ~ /CMakeLists/
	markdown = FILENAME ~ /\.md$/
	long_file = opened = 0
	before = ""
}
/\r/ { report("a carriage return") }
/[ \t]$/ && !markdown { report("blanks at the end") }
narrow && length * 8 > 100 && columns($0) > 100 { report("more than 100 columns") }
is_c { check_c() }
{ before = $0 }
END {
	if (broken)
		exit 1
	print nfiles " files have the style of .editorconfig and .clang-format"
}' || exit 1
while read -r file; do
	[ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at the end"
	[ "$(tail -c 2 "$file" | wc -l)" -lt 2 ] || [ "$(tail -n 1 "$file")" != '' ] ||
		echo "$file: ends in an empty line"
done <"$scratch" >"$scratch.end"
cat "$scratch.end"
[ ! -s "$scratch.end" ]; status=$?
rm -f "$scratch.end"
exit $status
