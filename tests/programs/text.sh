# text.sh - grep, sed, awk, diff, find and xargs.
what="grep -E and -P, sed, gawk, mawk, diff and patch, find | xargs -P2"
packages="grep sed gawk mawk diffutils findutils"
programs="grep sed gawk mawk diff find xargs"

prepare() { words "$(pick 15000 60000)" >"$INPUT/words"; }

run_case() {
	local words=$INPUT/words awk
	grep -c -E '(item1[0-9]|text-(3|5)[0-9],[246])' "$words"
	grep -o -P '(?<=item)\d+(?= [0-9a-f]{6,})' "$words" | sort | uniq -c | sha256sum
	grep -v -i -w -f <(head -n 400 "$words" | cut -d ' ' -f 3) "$words" | sha256sum
	sed -E 's/(item)([0-9]+) ([0-9a-f]+)/\3 \2 \1/; s/-/_/g; y/abc/ABC/' "$words" | sha256sum
	sed -n 'H; $ { x; s/\n/,/g; p }' <(head -n 4000 "$words") | sha256sum
	for awk in gawk mawk; do
		"$awk" '{ n[$2]++; s[$2] = substr(s[$2] "/" $1, 1, 200)
				split($4, p, /[-,]/); m[p[1] p[4]] += length($0) }
			END { for (k in n) print k, n[k], s[k]
				for (k in m) print k, m[k] }' "$words" | sort | sha256sum
		"$awk" '{ a[NR] = $0; $3 = toupper($3); gsub(/[0-9]/, "<&>"); t += length($0) }
			END { for (i = NR; i; i--) u = u substr(a[i], 1, 1)
				print t, length(u) }' "$words"
	done
	gawk 'BEGIN { PROCINFO["sorted_in"] = "@ind_str_asc" } { a[$2][$1] = NR }
		END { for (k in a) n += length(a[k])
			print n; asorti(a, b); print b[1], b[length(b)] }' "$words"
	head -n 50000 "$words" | sed 's/item77 .*//' >changed
	diff -u "$words" changed --label a --label b >out/diff || [ $? = 1 ]
	{ diff --minimal <(head -n 5000 "$words") <(head -n 5000 changed) || [ $? = 1 ]; } |
		sha256sum
	find /usr/include /usr/share/doc -type f -name '*[a-m]*' -size -64k -print0 | sort -z |
		xargs -0 -P 2 -n 50 cat | wc -c
	find /usr/share -xdev -newermt 1990-01-01 -printf '%y %s %p\n' | sort | sha256sum
}
