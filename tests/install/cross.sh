#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# cross.sh aarch64|riscv64 SOURCE FOLDER - builds goalloc for another processor with Debian's cross
# compiler, and runs the module, stress and face tests under qemu-user. cmocka is built from
# Debian's source package. 77 when the compiler, qemu or the package is not to be had.
#
# Modules that are left out. Messages of failures were looked at for most of them on riscv64; which
# are qemu's fault and which are ours is not sorted out for each:
#   fault guard heapmap pagesize scavenge limit   qemu keeps pages of its own beside the program's:
#       MADV_DONTNEED, guards, /proc/self/smaps and faults are not what the kernel makes of them
#   leak mark roots service snapshot              qemu does not trace (ptrace)
#   os clock                                      no seccomp, no MADV_WIPEONFORK, no vDSO
#   arena pprof                                   /proc/self/maps shows qemu's own file names
#   mheap                                         takes longer than ten minutes
#   unwind                                        on riscv64 8 of its cases fail, unexplained
# Of the face tests, introspection, symbols, told, own_malloc.nothing_fixed, mapped_over and
# early_fork failed on riscv64 and semantics ran out of time; none of that is explained. arm64's
# face tests were not run by this script.
set -u
arch=$1 source=$(cd "$2" && pwd) folder=$3
cannot='os|clock|pprof|arena|mheap|scavenge|limit|mark|heapmap|service|guard|fault|leak|roots'
cannot="$cannot|snapshot|pagesize|unwind"
compiler=$arch-linux-gnu-gcc emulator=qemu-$arch-static
for program in "$compiler" "$emulator"; do
	type -P "$program" >/dev/null || {
		echo "skipped: no $program"
		exit 77
	}
done
mkdir -p "$folder" && cd "$folder" || exit 1

cross_cmake() {
	cmake -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$arch" \
		-DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release "$@"
}

# Package lists of the sources, beside the system's own.
get_cmocka() {
	mkdir -p sources lists/partial
	local apt=(apt-get -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$PWD/sources"
		-o Dir::State::Lists="$PWD/lists" -o Acquire::Retries=2)
	sed -n '1,/^$/p' /etc/apt/sources.list.d/debian.sources |
		sed 's/^Types: deb$/Types: deb-src/' >sources/debian.sources &&
		"${apt[@]}" update && "${apt[@]}" source cmocka
}
if [ ! -e cmocka/lib ]; then
	get_cmocka >cmocka.log 2>&1 || {
		echo "skipped: no source of cmocka: $(tail -n 1 cmocka.log)"
		exit 77
	}
	cross_cmake -S cmocka-[0-9]*/ -B cmocka-build -DUNIT_TESTING=OFF \
		-DCMAKE_INSTALL_PREFIX="$PWD/cmocka" >>cmocka.log 2>&1 &&
		cmake --build cmocka-build >>cmocka.log 2>&1 &&
		cmake --install cmocka-build >>cmocka.log 2>&1 || {
		tail -n 20 cmocka.log
		exit 1
	}
fi
cross_cmake -S "$source" -B build -DCMAKE_PREFIX_PATH="$PWD/cmocka" \
	-DCMAKE_BUILD_RPATH="$PWD/cmocka/lib" -DGOALLOC_BENCH=OFF -DGOALLOC_WERROR=ON \
	-DCMAKE_CROSSCOMPILING_EMULATOR="$(type -P "$emulator");-L;/usr/$arch-linux-gnu" \
	>build.log 2>&1 && cmake --build build -j2 >>build.log 2>&1 || {
	grep -A 5 'rror' build.log | head -n 40
	exit 1
}
ctest --test-dir build -L "${4-module|stress|face}" -E "^module[.]($cannot)\$" -j2 \
	--no-tests=error >ctest.log 2>&1 || {
	sed -n '/tests passed/,$p' ctest.log
	exit 1
}
grep 'tests passed' ctest.log
