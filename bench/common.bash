# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# common.bash - gives the scripts of the bench their options, allocators and errors. It is sourced.
#
# Sets $root, $build, $names (the allocators in the order of the columns) and $library (the file
# that each of them preloads; nothing for glibc).

script=bench/$(basename "$0")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
names=(goalloc glibc)
declare -A library=([glibc]='')

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
