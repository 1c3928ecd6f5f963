#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# packages.sh SOURCE FOLDER - makes Debian packages and an archive. lintian finds no error and no
# warning. In a fresh Debian root (debootstrap) the packages are installed, used and purged. The
# archive is unpacked and used. Each package has its SPDX list. 77 without dpkg.
#
# Needs root and debootstrap for the part in the root; lintian; python3 for the lists.
set -u
source=$(cd "$1" && pwd) folder=$2
type -P dpkg-deb dpkg-shlibdeps >/dev/null || {
	echo "skipped: no dpkg"
	exit 77
}
rm -rf "$folder/made"
mkdir -p "$folder/made" && cd "$folder/made" || exit 1

fail() {
	echo "packages.sh: $*" >&2
	exit 1
}

SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 1767225600)
export SOURCE_DATE_EPOCH DEBFULLNAME='A Packager' DEBEMAIL=packager@example.org
cmake -S "$source" -B . -DGOALLOC_TESTS=OFF -DGOALLOC_BENCH=OFF >log 2>&1 &&
	cmake --build . -j2 >>log 2>&1 && cpack -G "DEB;TGZ" >>log 2>&1 || {
	tail -n 30 log >&2
	fail "no packages are made"
}
arch=$(dpkg --print-architecture)
packages=(libgoalloc1_*_"$arch".deb libgoalloc-dev_*_"$arch".deb goalloc-tools_*_"$arch".deb)
for package in "${packages[@]}"; do
	[ -s "$package" ] || fail "no $package"
done
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || cc -print-multiarch)
for pair in "0 lib/$triplet/libgoalloc.so.1" "1 lib/$triplet/libgoalloc.a" \
	"1 include/goalloc.h" "1 lib/$triplet/pkgconfig/goalloc.pc" \
	"2 bin/goalloc-run" "2 bin/goalloc-view"; do
	dpkg-deb -c "${packages[${pair%% *}]}" >contents
	grep -qF "./usr/${pair#* }" contents ||
		fail "${packages[${pair%% *}]} has no ${pair#* }"
done
for package in "${packages[@]}"; do
	[ "$(dpkg-deb -f "$package" Maintainer)" = "$DEBFULLNAME <$DEBEMAIL>" ] ||
		fail "$package does not name who made it"
done
if type -P lintian >/dev/null; then
	found=$(lintian --allow-root "${packages[@]}" | grep '^[EW]:')
	[ -z "$found" ] || fail "lintian: $found"
else
	echo "packages.sh: no lintian, the packages are not checked by it"
fi
for package in "${packages[@]}" goalloc-*.tar.gz; do
	[ "$(sha256sum <"$package" | cut -d' ' -f1)" = \
		"$(sed -n 's/.*"checksumValue": "\([0-9a-f]*\)".*/\1/p' "$package.spdx.json")" ] ||
		fail "$package.spdx.json does not tell its sum"
	! type -P python3 >/dev/null || python3 -m json.tool "$package.spdx.json" >/dev/null ||
		fail "$package.spdx.json is not JSON"
done

mkdir unpacked && tar -C unpacked --strip-components 1 -xzf goalloc-*.tar.gz || exit 1
[ "$(unpacked/bin/goalloc-run sh -c 'cat /proc/self/maps' | grep -c unpacked/lib)" != 0 ] ||
	fail "goalloc-run of the archive does not preload the archive's library"

if [ "$(id -u)" != 0 ] || ! type -P debootstrap >/dev/null; then
	echo "packages.sh: not root or no debootstrap, the packages are not installed"
	exit 0
fi
# The root is kept, because it takes a minute to make; whatever is done is done in a copy of it.
base=$folder/base-root root=$PWD/root
if [ ! -e "$base/made" ]; then
	rm -rf "$base"
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
		grep -m1 'debian/$')
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	debootstrap --variant=minbase "$suite" "$base" ${mirror:+"$mirror"} \
		>debootstrap.log 2>&1 || {
		echo "skipped: debootstrap made no root: $(tail -n 1 debootstrap.log)"
		exit 77
	}
	touch "$base/made"
fi
cp -a "$base" "$root" || exit 1
cp "${packages[@]}" "$root/root"
inside() {
	chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
files() {
	(cd "$root" && find . -xdev \( -path ./var -o -path ./proc -o -path ./root \) -prune -o \
		! -type d -print | grep -v ld.so.cache | sort)
}
files >before
# libc6-dev is not installed: what needs a compiler is compiled outside.
inside dpkg --force-depends -i "/root/${packages[0]}" "/root/${packages[1]}" \
	"/root/${packages[2]}" >dpkg.log 2>&1 || fail "dpkg -i: $(cat dpkg.log)"
inside ldconfig -p | grep -q libgoalloc.so.1 || fail "the trigger did not call ldconfig"
for way in "env LD_PRELOAD=libgoalloc.so.1" "goalloc-run" "goalloc-run -o hardened=2"; do
	# shellcheck disable=SC2086 # several words
	inside env GOALLOC=help=1 $way true 2>&1 | grep -q '^ *memlimit' ||
		fail "$way does not work in the root"
	inside $way true 2>problems || fail "$way true"
	[ ! -s problems ] || fail "$way: $(cat problems)"
	[ "$(inside $way perl -e 'print join ",", sort map { $_ * 7 } 1 .. 9')" = \
		14,21,28,35,42,49,56,63,7 ] || fail "$way perl"
done
PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig \
	pkg-config --cflags --libs goalloc >flags || fail "pkg-config"
# shellcheck disable=SC2046 # several words
${CC-cc} -O2 -o "$root/root/user" "$source/tests/install/project/user.c" \
	-I"$root/usr/include" -L"$root/usr/lib/$triplet" $(cat flags) ||
	fail "no link by pkg-config"
inside /root/user 0 >/dev/null || fail "the linked program: exit status $?"
# A preloaded library everywhere, as some put it, and the package manager on top of it.
# passwd is setuid, and nobody calls it.
# shellcheck disable=SC2016 # the dynamic linker replaces $LIB
echo '/usr/$LIB/libgoalloc.so.1' >"$root/etc/ld.so.preload"
for command in "dpkg -V libgoalloc1" "su nobody -s /bin/sh -c id" "apt-get check" \
	"su nobody -s /bin/sh -c 'passwd -S'" \
	"tar -C / -cf /dev/null usr/share" "perl -e 1" "bash -c 'echo | sed p | sort'"; do
	inside sh -c "$command" >out 2>&1 || {
		# apt-get check tells that libc6-dev is not there, which is true.
		[ "$command" = "apt-get check" ] && grep -q libc6-dev out ||
			fail "/etc/ld.so.preload: $command: $(cat out)"
	}
	! grep -F 'cannot be preloaded' out || fail "/etc/ld.so.preload: $command"
done
rm "$root/etc/ld.so.preload"
inside dpkg --purge goalloc-tools libgoalloc-dev libgoalloc1 >dpkg.log 2>&1 ||
	fail "dpkg --purge: $(cat dpkg.log)"
files >after
diff before after || fail "files are left after dpkg --purge"
! inside ldconfig -p | grep libgoalloc || fail "ldconfig knows a purged library"
rm -rf "$root"
