# limits.sh - programs under ulimit -v: they run, they run out of memory, they go on.
what="programs under ulimit -v 200000; python and perl run out of memory, the first goes on"
packages="perl python3 coreutils gawk gcc libc6-dev"
programs="perl /usr/bin/python3 sort gawk gcc"

run_case() {
	words "$(pick 20000 100000)" >lines
	ulimit -v 200000
	ulimit -v
	sort lines | sha256sum
	gawk '{ a[$2] = a[$2] $1 } END { for (k in a) n += length(a[k]); print n }' lines
	perl -ne '$h{$1}++ if /item(\d+)/; END { print scalar(keys %h), "\n" }' lines
	echo 'int main(void) { return 0; }' | gcc -O2 -x c - -o main && ./main
	PYTHONMALLOC=malloc /usr/bin/python3 - <<-END
		import threading
		def work(): sum([i for i in range(10000)])
		t = [threading.Thread(target=work) for _ in range(3)]
		[x.start() for x in t]; [x.join() for x in t]
		for size in (1 << 20, 100000, 1000):
		    for again in range(2):
		        kept = []
		        try:
		            while True: kept.append(bytearray(size))
		        except MemoryError:
		            held = len(kept) * size
		        del kept
		        print(size, "ran out after more than 50 MB:", held > 50e6)
		try: bytearray(1 << 50)
		except MemoryError: print("one huge block: MemoryError")
		print(len({str(i): i for i in range(50000)}))
	END
	perl -e 'push @a, "x" x 100000 while 1' 2>err || echo "perl: exit status $?"
	cat err
	(ulimit -v 60000 && sort lines | sha256sum && ls / >/dev/null && echo "runs in 60 MB")
	(ulimit -v 24576 && sh -c 'echo "runs in 24 MiB"' && wc -l lines)
}
