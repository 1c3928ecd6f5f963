# coreutils.sh - pipelines of coreutils, large sorts, listings of big trees, closed descriptors.
what="sort, uniq, join, tr, wc, split, shuf, od, sums, ls of big trees and with stderr closed"
packages="coreutils"
programs="sort uniq tr cut wc join comm split tac shuf od base64 sha256sum ls du factor numfmt"
programs+=" paste fold"

prepare() { words "$(pick 30000 100000)" >"$INPUT/words"; }

run_case() {
	local words=$INPUT/words tree=/usr/share
	sort "$words" | uniq -c | sort -rn | tr '[:lower:]' '[:upper:]' | sha256sum
	sort --parallel=2 -S 4M -k 3 "$words" >out/merged
	sort --parallel=2 -S 64M -u -t ' ' -k 2,2 -k 1n "$words" >out/unique
	sort -R --random-source="$words" <(head -n 20000 "$words") | sha256sum
	sort -V -k 4 <(head -n 60000 "$words") | tail -n 3
	cut -d ' ' -f 2,4 "$words" | sort -s | uniq -d | wc
	join -j 1 <(head -n 20000 "$words" | sort -k 1,1) <(tail -n 20000 "$words" | sort -k 1,1) |
		sha256sum
	comm -3 <(head -n 30000 "$words" | sort) <(tail -n 30000 "$words" | sort) | sha256sum
	split -n l/7 --filter='sha256sum' "$words"
	tac "$words" | fold -w 13 | paste -d : - - - | sha256sum
	shuf --random-source="$words" -n 5000 "$words" | sha256sum
	base64 "$words" | base64 -d | od -A x -t x1z -v | sha256sum
	factor 1234567890123456789012345678901 18446744073709551557
	seq 200000 | numfmt --to=iec | sha256sum
	[ "$MODE" = default ] || tree=/usr/include
	ls -lR --time-style=full-iso "$tree" | sha256sum
	ls -U1 --color=always /usr/bin | sort | sha256sum
	ls --color=always /usr/bin 2>&- | sha256sum
	sort "$words" 2>&- | sha256sum
	ls /usr/bin 1>&- 2>/dev/null || echo "ls without stdout: exit status $?"
	ls -d /nonexistent 2>&1 || echo "ls of nothing: exit status $?"
	du -a --apparent-size /usr/include | sort -k 2 | sha256sum
}
