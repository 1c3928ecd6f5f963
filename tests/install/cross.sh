#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# cross.sh aarch64|riscv64 SOURCE FOLDER [LABELS] - builds goalloc for another processor with
# Debian's cross compiler, and runs the module, stress and face tests under qemu-user; then it makes
# Debian packages for that processor. cmocka is built from Debian's source package. What qemu-user
# cannot do is left out by the list emulated.txt.
# 77 when the compiler, qemu or the package is not to be had.
set -u
arch=$1 source=$(cd "$2" && pwd) folder=$3
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

. "$source/tests/support/source.sh"
if [ ! -e cmocka/lib ]; then
	mkdir -p "$cache" && source_of cmocka || {
		echo "skipped: no source of cmocka"
		exit 77
	}
	# gcc before 13 makes no unwind tables for riscv64 unless asked.
	cross_cmake -S "$cache/cmocka" -B cmocka-build -DUNIT_TESTING=OFF \
		-DCMAKE_C_FLAGS=-fasynchronous-unwind-tables \
		-DCMAKE_INSTALL_PREFIX="$PWD/cmocka" >cmocka.log 2>&1 &&
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
# An emulated program takes ten times as long.
find build -name CTestTestfile.cmake -exec sed -i -E 's/TIMEOUT "([0-9]+)"/TIMEOUT "\10"/' {} +

tests='' cases=''
while read -r what reason; do
	case $what in
	'' | '#'*) continue ;;
	aarch64 | riscv64)
		[ "$what" = "$arch" ] || continue
		what=${reason%% *}
		;;
	esac
	case $what in
	*:*) cases+=" ${what#*:}" ;;
	*) tests+="|${what//./[.]}" ;;
	esac
done <"$source/tests/install/emulated.txt"
export LEFT_OUT=${cases# }
ctest --test-dir build -L "${4-module|stress|face}" -E "^(fuzz_.*$tests)\$" -j2 \
	--no-tests=error --output-on-failure >ctest.log 2>&1 || {
	sed -n '/tests passed/,$p' ctest.log
	exit 1
}
grep 'tests passed' ctest.log

# The library serves programs of musl, too, which lacks the names that only glibc has.
! "$arch-linux-gnu-nm" -D --undefined-only build/libgoalloc.so.1 |
	grep -e __getauxval -e __register_atfork || {
	echo "cross.sh: the library needs glibc to be loaded"
	exit 1
}

# Packages for the other processor.
type -P dpkg-deb >/dev/null || exit 0
debian=${arch/aarch64/arm64}
rm -f build/*.deb
(cd build && cpack -G DEB) >cpack.log 2>&1 || {
	tail -n 20 cpack.log
	exit 1
}
for package in libgoalloc1 libgoalloc-dev goalloc-tools; do
	dpkg-deb -f build/"${package}"_*_"$debian".deb Architecture Depends >fields &&
		grep -qx "Architecture: $debian" fields && grep -q '^Depends: .*libc6' fields || {
		echo "cross.sh: $package for $debian: $(cat fields)"
		exit 1
	}
done
dpkg-deb -c build/libgoalloc1_*.deb | grep -q "./usr/lib/$arch-linux-gnu/libgoalloc.so.1 " || {
	echo "cross.sh: the library is not in the folder of $arch"
	exit 1
}
