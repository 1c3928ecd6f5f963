# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# common.bash - gives the scripts of the bench their options, allocators and errors. It is sourced.
#
# Sets $root, $build, $names (the allocators in the order of the columns), $library (the file that
# each of them preloads; nothing for glibc) and $mode (what GOALLOC is for it; nothing for most).

script=bench/$(basename "$0")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
names=(goalloc glibc)
declare -A library=([glibc]='') mode=() best=()

# fail STATUS MESSAGE: prints one line on standard error and exits.
fail() {
	echo "$script: $2" >&2
	exit "$1"
}

# add_library NAME=PATH: adds an allocator.
add_library() {
	[ -e "${1#*=}" ] || fail 2 "there is no file ${1#*=}"
	names+=("${1%%=*}")
	library[${1%%=*}]=$(readlink -f "${1#*=}")
}

# parse_options VARIABLE... -- ARGUMENT...: reads the command line. --VARIABLE VALUE sets a
# variable, NAME=PATH adds an allocator, --help calls usage.
parse_options() {
	local variables=" " variable
	while [ "$1" != -- ]; do
		variables+="--$1 "
		shift
	done
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--*)
			[[ $variables == *" $1 "* ]] ||
				fail 2 "there is no option $1; --help lists the options"
			[ $# -gt 1 ] || fail 2 "$1 needs a value"
			variable=${1#--}
			printf -v "$variable" %s "$2"
			shift
			;;
		?*=?*) add_library "$1" ;;
		*) fail 2 "'$1' is no option; --help lists the options" ;;
		esac
		shift
	done
}

# need_built FILE...: makes sure that files of the build directory and the library are there.
need_built() {
	local file
	library[goalloc]=$build/libgoalloc.so
	for file in "${library[goalloc]}" "${@/#/$build/}"; do
		[ -e "$file" ] || fail 2 "$file is missing; make it with: cmake --build $build"
	done
	library[goalloc]=$(readlink -f "${library[goalloc]}")
}

# find_best FIELD WORKLOAD...: runs a workload with each of $names in turn, $rounds times. FIELD is
# the line of its output that counts. Puts the least value for each name into $best.
find_best() {
	local field=$1 round name printed value
	shift
	best=()
	for ((round = 0; round < rounds; round++)); do
		for name in "${names[@]}"; do
			printed=$(GOALLOC=${mode[$name]-} LD_PRELOAD=${library[$name]} \
				"$build/bench/bench_workload" "$@") || fail 1 "$* failed with $name"
			value=$(awk -v field="$field" '$1 == field { print $2 }' <<<"$printed")
			best[$name]=$(sort -g <<<"$value"$'\n'"${best[$name]-$value}" | head -n 1)
		done
	done
}

# instructions LIBRARY LOG OPERATION BYTES: prints how many instructions one operation takes by
# callgrind, with those of the loop and of the PLT. A run of $operations operations (10000 if unset)
# is subtracted from one of twice as many. Prints nothing if that failed; what valgrind printed is
# in LOG. GOALLOC is unset, because options cost instructions.
instructions() {
	local lib=$1 log=$2 most=${operations:-10000} count runs=()
	shift 2
	for count in "$most" $((2 * most)); do
		env -u GOALLOC LD_PRELOAD="$lib" valgrind --tool=callgrind \
			--callgrind-out-file=/dev/null --log-file="$log" \
			"$build/bench/bench_count" "$@" $count || return 0
		runs+=("$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")")
	done
	[ -z "${runs[0]}" ] || [ -z "${runs[1]}" ] ||
		awk "BEGIN { printf \"%.1f\", (${runs[1]} - ${runs[0]}) / $most }"
}
