# SPDX-License-Identifier: MIT
#
# setup.sh - what tests/musl/run and bench/musl need to build with musl; it is sourced in the
# repository's root.
#
# Sets $root, $build (build-musl), $cache (see tests/support/source.sh), $headers and $flags (the
# compiler's). What is missing is a skip that says so (exit status 77).

root=$PWD
. tests/support/source.sh
build=$root/build-musl

skip() {
	echo "$script: skipped, $1"
	exit 77
}

type musl-gcc >/dev/null 2>&1 || skip "no musl-gcc: install musl-tools"
mkdir -p "$cache" || skip "$cache cannot be made"

# The kernel's headers, which Alpine has in linux-headers, and nothing else of glibc's folders.
headers=$cache/headers
mkdir -p "$headers"
ln -sfn /usr/include/linux "$headers/linux"
ln -sfn /usr/include/asm-generic "$headers/asm-generic"
ln -sfn /usr/include/mtd "$headers/mtd"
ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$headers/asm"

flags="-idirafter $headers"

# configure_musl [OPTION...] - runs cmake in build-musl.
configure_musl() {
	cmake -B "$build" -DCMAKE_C_COMPILER=musl-gcc "-DCMAKE_C_FLAGS=$flags" \
		-DCMAKE_CXX_COMPILER= -DGOALLOC_BENCH=OFF -DGOALLOC_WERROR=ON "$@" >/dev/null
}
