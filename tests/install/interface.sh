#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# interface.sh PREFIX LIBDIR SOURCE FOLDER - compares what programs are linked with and compiled for
# with interface.txt: the SONAME, exported names with their versions, and layouts in goalloc.h. A
# line that goes away or changes breaks programs. A new one is added to the list, and a new goalloc_
# function gets a symbol version of its own: see src/man/CHANGELOG.md.
set -eu
prefix=$1 library=$1/$2/libgoalloc.so list=$3/tests/install/interface.txt
mkdir -p "$4"
${CC-cc} -I"$prefix/include" -o "$4/interface" "$3/tests/install/interface.c"
{
	readelf -dW "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/soname \1/p'
	nm -D --defined-only "$library" | awk '{ print $2, $3 }' | LC_ALL=C sort
	"$4/interface"
} >"$4/interface.txt"
diff -u "$list" "$4/interface.txt"
