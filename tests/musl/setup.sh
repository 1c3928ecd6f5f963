# SPDX-License-Identifier: MIT
#
# setup.sh - what tests/musl/run and bench/musl need to build with musl; it is sourced in the
# repository's root.
#
# Sets $root, $build (build-musl), $cache, $headers and $flags (the compiler's). What is missing is
# a skip that says so (exit status 77).

root=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/goalloc-musl
build=$root/build-musl

skip() {
	echo "$script: skipped, $1"
	exit 77
}

type musl-gcc >/dev/null 2>&1 || skip "no musl-gcc: install musl-tools"
mkdir -p "$cache" || skip "$cache cannot be made"

# source_of PACKAGE - unpacks the source of Debian's package into $cache/PACKAGE, once. The
# machine's apt may have no deb-src line, so it gets one of its own.
source_of() {
	local package=$1 apt=$cache/apt codename
	[ -d "$cache/$package" ] && return
	type apt-get >/dev/null 2>&1 || return 1
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$cache/$package.new"
	echo "deb-src http://deb.debian.org/debian $codename main" >"$apt/sources.list"
	local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o APT::Sandbox::User=)
	[ -e "$apt/updated" ] || apt-get "${options[@]}" update >/dev/null 2>&1
	touch "$apt/updated"
	(cd "$cache/$package.new" &&
		apt-get "${options[@]}" source --download-only "$package" >/dev/null 2>&1 &&
		mkdir x && tar -xf "$(ls ./*.orig.tar.*[z2])" -C x --strip-components=1) || {
		rm -rf "$cache/$package.new" "$apt/updated"
		return 1
	}
	mv "$cache/$package.new/x" "$cache/$package" && rm -rf "$cache/$package.new"
}

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
