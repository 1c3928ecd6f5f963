#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# builds.sh CASE SOURCE FOLDER - the ways in which others build goalloc.
#   flags           the builder's flags, standard and C++98 are respected
#   part            it is a part of another project, by add_subdirectory() and by FetchContent
#   same            two folders give the same bytes
#   unsupported     other systems and processors are one line
#   unity, lto      CMake's CMAKE_UNITY_BUILD and -flto
#   COMPILER        builds without a warning; 77 when the compiler is not there
# CMake 3.20, the oldest that is asked for, is in no Debian that is still served. CMake 3.20.0 was
# built from its source and put first in PATH: flags, part, same and unsupported pass with it, the
# whole tree builds and installs, and the tests install.package and install.pkgconfig pass.
set -u
case=$1 source=$(cd "$2" && pwd) folder=$3
rm -rf "$folder"
mkdir -p "$folder" || exit 1
cd "$folder" || exit 1

fail() {
	echo "builds.sh $case: $*" >&2
	exit 1
}

# build FOLDER SOURCE [CMAKE-OPTION]...: the library, the archive and goalloc.o, or what the project
# has.
build() {
	local to=$1 from=$2
	shift 2
	{
		cmake -S "$from" -B "$to" -DGOALLOC_TESTS=OFF -DGOALLOC_BENCH=OFF \
			-DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@" &&
			cmake --build "$to" -j2
	} >"$to.log" 2>&1 || {
		tail -n 30 "$to.log" >&2
		fail "$to does not build"
	}
}

# answers FOLDER: its library serves a program.
answers() {
	[ "$(LD_PRELOAD=$1/libgoalloc.so.1 sh -c 'echo fine' 2>/dev/null)" = fine ] ||
		fail "sh does not run with $1/libgoalloc.so.1"
}

# lacks FILE WORD: no line of FILE contains WORD.
lacks() {
	! grep -F -e "$2" "$1" || fail "$1 has $2"
}

has() {
	grep -qF -e "$2" "$1" || fail "$1 lacks $2"
}

# refuses FOLDER PATTERN [CMAKE-OPTION]...: CMake stops, and says why in one sentence.
refuses() {
	local to=$1 pattern=$2
	shift 2
	! cmake -S "$source" -B "$to" "$@" >"$to.log" 2>&1 || fail "$* is accepted"
	# CMake breaks lines.
	tr -s '\n ' ' ' <"$to.log" | grep -q "$pattern" || {
		cat "$to.log" >&2
		fail "$* does not say: $pattern"
	}
}

case $case in
flags)
	# CMake knows C17 since 3.21.
	standard=17
	[[ $(cmake --version) != *" 3.20."* ]] || standard=11
	build mine "$source" -DCMAKE_C_FLAGS_RELEASE="-O1 -DMINE=1" \
		-DCMAKE_C_STANDARD=$standard -DCMAKE_C_EXTENSIONS=OFF
	has mine/compile_commands.json "-O1 -DMINE=1"
	has mine/compile_commands.json "-std=c$standard"
	# Two files call libc by tail calls, which need -O2 whatever else the builder asks for.
	grep -v 'src/face/interpose_dl' mine/compile_commands.json >mine/others.json
	lacks mine/others.json -O2
	lacks mine/compile_commands.json -Werror
	answers "$PWD/mine"
	cmake -S "$source" -B usual -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DGOALLOC_WERROR=ON \
		>usual.log 2>&1 || fail "$(cat usual.log)"
	has usual/compile_commands.json "-O2 -DNDEBUG"
	has usual/compile_commands.json -Werror
	echo '#include <goalloc.h>' >header.c
	for standard in "-x c++ -std=c++98" "-x c++ -std=c++20" "-x c -std=c99" "-x c -std=c2x"; do
		# shellcheck disable=SC2086 # several words
		${CC-cc} $standard -pedantic -Wall -Wextra -Werror -I"$source/include" \
			-fsyntax-only header.c || fail "goalloc.h with $standard"
	done
	;;
part)
	cp "$source/tests/install/project/user.c" .
	cat >CMakeLists.txt <<-END
		cmake_minimum_required(VERSION 3.20)
		project(user LANGUAGES C)
		set(CMAKE_C_STANDARD 99)
		if(FETCH)
			include(FetchContent)
			FetchContent_Declare(goalloc SOURCE_DIR $source)
			FetchContent_MakeAvailable(goalloc)
		else()
			add_subdirectory($source below)
		endif()
		add_executable(user_shared user.c)
		target_link_libraries(user_shared goalloc::goalloc goalloc::alloc_token)
		add_executable(user_static user.c)
		target_link_libraries(user_static goalloc::static goalloc::alloc_token)
		enable_testing()
		install(TARGETS user_shared)
	END
	for fetch in OFF ON; do
		build "fetch-$fetch" "$PWD" -DFETCH=$fetch
		for program in user_shared user_static; do
			"fetch-$fetch/$program" 0 >/dev/null || fail "$program: exit status $?"
		done
		# Without a build type of the project's, the heap is optimised all the same.
		has "fetch-$fetch/compile_commands.json" -O2
		lacks "fetch-$fetch/CMakeCache.txt" CMAKE_BUILD_TYPE:STRING=Release
		[ "$(ctest --test-dir "fetch-$fetch" -N | tail -n 1)" = "Total Tests: 0" ] ||
			fail "tests of goalloc in the project"
		cmake --install "fetch-$fetch" --prefix "$PWD/prefix-$fetch" >/dev/null ||
			fail "does not install"
		[ "$(cd "prefix-$fetch" && find . ! -type d)" = ./bin/user_shared ] ||
			fail "files of goalloc are installed"
	done
	;;
same)
	for name in one "another folder"; do
		mkdir -p "$name"
		cp -r "$source"/{CMakeLists.txt,LICENSE,include,src} "$name"
		# A compiler cache would give the first folder's result.
		CCACHE_DISABLE=1 build "$name/build" "$PWD/$name" -DGOALLOC_DEBUG=ON
	done
	for file in libgoalloc.so.1 libgoalloc.a goalloc.o goalloc-run goalloc.pc; do
		cmp "one/build/$file" "another folder/build/$file" || fail "$file differs"
	done
	;;
unsupported)
	refuses system "goalloc runs on Linux, not on FreeBSD" -DCMAKE_SYSTEM_NAME=FreeBSD
	library=-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY # the compiler need not link
	for target in i386 x32 aarch64 powerpc64le; do
		case $target in
		i386) compiler=${CC-cc} flags=-m32 ;;
		x32) compiler=${CC-cc} flags=-mx32 ;;
		aarch64) compiler=aarch64-linux-gnu-gcc flags=-mbig-endian ;;
		powerpc64le) compiler=clang flags=--target=powerpc64le-linux-gnu ;;
		esac
		type -P "$compiler" >/dev/null || continue
		[ "$compiler" != "${CC-cc}" ] || [ "$(uname -m)" = x86_64 ] || continue
		refuses $target "goalloc runs on x86-64, arm64 and riscv64" $library \
			-DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags"
	done
	;;
unity)
	build unity "$source" -DCMAKE_UNITY_BUILD=ON -DGOALLOC_WERROR=ON
	answers "$PWD/unity"
	;;
lto)
	build flag "$source" -DCMAKE_C_FLAGS=-flto -DGOALLOC_WERROR=ON
	answers "$PWD/flag"
	build property "$source" -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DGOALLOC_WERROR=ON
	answers "$PWD/property"
	# The program is optimised when it is linked, and its malloc is ours all the same.
	${CC-cc} -O2 -flto -I"$source/include" -o user "$source/tests/install/project/user.c" \
		flag/libgoalloc.a -pthread || fail "a program with -flto does not link"
	./user 0 >/dev/null || fail "a program with -flto: exit status $?"
	;;
*)
	type -P "$case" >/dev/null || {
		echo "skipped: no $case"
		exit 77
	}
	build release "$source" -DCMAKE_C_COMPILER="$case" -DGOALLOC_WERROR=ON
	answers "$PWD/release"
	build debug "$source" -DCMAKE_C_COMPILER="$case" -DGOALLOC_WERROR=ON \
		-DCMAKE_BUILD_TYPE=Debug -DGOALLOC_DEBUG=ON
	answers "$PWD/debug"
	# What the compiler made of the start: libc allocates before the constructors run.
	"$case" -static -o nop "$source/tests/face/static_nop.c" release/goalloc.o -pthread ||
		fail "a static program does not link"
	for options in "" efence=1 leakcheck=2 hardened=2,guardrate=1; do
		GOALLOC=$options ./nop 2>/dev/null ||
			fail "a static program, GOALLOC=$options: exit status $?"
	done
	;;
esac
