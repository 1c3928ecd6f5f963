# git.sh - a generated repository: fsck, gc, repack with threads, log, blame, diff, clone.
what="fsck, gc, repack with threads, rev-list, log -p, blame, merge, clone of a generated"
what+=" repository"
packages="git"
programs="git"

# A repository by fast-import: files that grow and change, branches, merges, tags.
prepare() {
	git config --global user.name A && git config --global user.email a@example.org
	git init -q -b main "$INPUT/repo"
	awk -v n="$(pick 250 600)" 'BEGIN { x = 42
		for (i = 1; i <= n; i++) {
			printf "commit refs/heads/%s\nmark :%d\n" \
				"committer A U Thor <a@example.org> %d +0000\ndata <<EOT\n" \
				"commit %d\nEOT\n", i % 10 == 9 ? "side" : "main", i,
				1600000000 + i * 60, i
			if (i > 10 && i % 10 == 9) printf "from :%d\n", i - 9
			if (i > 10 && i % 10 == 0) printf "from :%d\nmerge :%d\n", i - 2, i - 1
			for (k = 0; k < 4; k++) { x = (x * 16807) % 2147483647; f = x % 60
				printf "M 100644 inline dir%d/file%d\ndata <<EOT\n", f % 7, f
				len[f] += x % 9
				for (j = 0; j <= len[f] % 400; j++)
					printf "line %d of %d %d\n", j, f,
						(j * 31 + f + int(i / (j % 13 + 1)) * 7919) % 9973
				print "EOT" }
		}
		print "done" }' | git -C "$INPUT/repo" fast-import --quiet --done
	git -C "$INPUT/repo" tag -m one v1 main~5
}

run_case() {
	git config --global user.name A && git config --global user.email a@example.org &&
		git config --global gc.auto 0 && git config --global pack.threads 2
	cp -r "$INPUT/repo" repo
	cd repo || return
	git reset -q --hard main
	git fsck --full --strict 2>&1
	git rev-list --all --objects | sort | sha256sum
	git log -p --all --topo-order --stat -M | sha256sum
	git log --graph --oneline --all | tail -n 3
	git blame dir3/file3 | sha256sum
	git diff --word-diff main~20 main | sha256sum
	git grep -c 'line 7 of' v1 | sha256sum
	git checkout -q -b merge main~30 && git merge -q -m merged side -X ours &&
		git rev-parse 'HEAD^{tree}'
	git repack -q -a -d -f --depth=50 --window=20 --threads=2
	git gc -q --aggressive --prune=now
	git count-objects -v | grep -v size-pack
	git fsck --full --strict 2>&1
	git rev-list --all --objects | sort | sha256sum
	git clone -q --no-local . ../clone && git -C ../clone fsck && git -C ../clone archive HEAD |
		sha256sum
	git bundle create -q ../all.bundle --all && git bundle verify -q ../all.bundle
}
