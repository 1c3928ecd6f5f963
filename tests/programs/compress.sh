# compress.sh - xz, gzip, bzip2 and tar; the compressed files are byte-identical.
what="xz -6, xz -T2, gzip, bzip2, tar round trips; files identical"
packages="xz-utils gzip bzip2 tar"
programs="xz gzip bzip2 tar"

prepare() { words "$(pick 12000 40000)" >"$INPUT/words"; }

run_case() {
	local words=$INPUT/words
	xz -6 -c "$words" >out/one.xz
	xz -T 2 --block-size=1MiB -4 -c "$words" >out/two.xz
	xz -T 2 -dc out/two.xz | cmp - "$words"
	xz -dc out/one.xz | sha256sum
	xz --format=lzma -3 -c "$words" | xz -dc | sha256sum
	gzip -9 -n -c "$words" >out/words.gz && gzip -dc out/words.gz | sha256sum
	bzip2 -c "$words" >out/words.bz2 && bzip2 -dc out/words.bz2 | sha256sum
	mkdir parts tree && split -a 4 -l 50 "$words" parts/
	tar -C parts --sort=name --mtime=@0 --owner=0 --group=0 -cf - . |
		gzip -n -6 >out/parts.tar.gz
	tar -C tree -xzf out/parts.tar.gz && diff -r tree parts && tar -tvzf out/parts.tar.gz |
		sha256sum
}
