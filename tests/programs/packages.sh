# packages.sh - dpkg, apt and their friends, which every Debian machine has.
what="apt-cache, dpkg-query, dpkg-deb -b and -x of a generated package, getent, iconv"
packages="apt dpkg tar libc-bin"
programs="apt-cache apt-config dpkg dpkg-query dpkg-deb getent iconv"

run_case() {
	mkdir -p tree/DEBIAN tree/usr/share/sample
	printf '%s\n' 'Package: sample' 'Version: 1.0-1' 'Architecture: all' \
		'Maintainer: A <a@example.org>' 'Description: sample' >tree/DEBIAN/control
	words "$(pick 5000 50000)" >tree/usr/share/sample/words
	find tree -exec touch -h -d @0 {} +
	SOURCE_DATE_EPOCH=0 dpkg-deb --root-owner-group --threads-max=2 -Zxz -b tree out/sample.deb
	dpkg-deb -I out/sample.deb && dpkg-deb -c out/sample.deb &&
		dpkg-deb -x out/sample.deb unpacked
	diff -r tree/usr unpacked/usr
	dpkg-query -W -f '${Package} ${Version} ${Installed-Size} ${Depends}\n' | sha256sum
	dpkg -S /usr/bin/env && dpkg --compare-versions 1:2.0~rc1-1 lt 1:2.0-1 && echo "lower"
	apt-config dump | sha256sum
	apt-cache policy coreutils libc6 | sha256sum
	[ "$MODE" = quick ] || apt-cache showpkg dpkg | sha256sum
	[ "$MODE" = quick ] || apt-cache depends --recurse --installed bash | sort | sha256sum
	getent passwd | sha256sum && getent hosts localhost
	iconv -f UTF-8 -t UTF-16LE tree/usr/share/sample/words |
		iconv -f UTF-16LE -t ISO-8859-1//TRANSLIT | sha256sum
}
