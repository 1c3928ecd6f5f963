#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# rust.sh PREFIX/LIBDIR SOURCE FOLDER - a Rust program with the installed libgoalloc.a as its global
# allocator. 77 without rustc.
set -eu
type -P rustc >/dev/null || {
	echo "skipped: no rustc"
	exit 77
}
mkdir -p "$3"
rustc --edition 2021 -D warnings -O "$2/tests/install/rust/main.rs" -L "native=$1" \
	-l static=goalloc -C link-arg=-Wl,--eh-frame-hdr -o "$3/rust"
"$3/rust"
GOALLOC=hardened=2 "$3/rust"
