# memlimit.sh - a memory limit, soft and hard, on programs that would have more.
what="python3 as a cache and redis-server as one stay below GOALLOC_MEMLIMIT; python3 runs into a"
what+=" hard limit and goes on"
packages="python3 redis-server redis-tools"
programs="/usr/bin/python3 redis-server redis-cli redis-benchmark"

# peak PID: the most it had in memory, KiB.
peak() { awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"; }

# below KIB LIMIT BESIDE: what it had, with the library, is not above the limit and what the program
# has beside the heap.
below() {
	[ -z "${LD_PRELOAD-}" ] || [ "$1" -le $(($2 + $3)) ] ||
		{ echo "$1 KiB, and the limit is $2" >&2 && return 1; }
	echo "below $2 KiB"
}

run_case() {
	local port n size
	n=$(pick 8000 30000)
	GOALLOC_MEMLIMIT=180MiB PYTHONMALLOC=malloc /usr/bin/python3 - "$n" >cache <<-END
		import collections, random, sys
		random.seed(1)
		cache, size = collections.deque(), 0
		for i in range(int(sys.argv[1])):
		    n = random.randrange(1000, 40000 + i * 600000 // int(sys.argv[1]))
		    cache.append(b'x' * n)
		    size += n
		    while size > 150e6: size -= len(cache.popleft())
		print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])
	END
	below "$(cat cache)" $((180 * 1024)) 16384

	port=$(free_port)
	export GOALLOC_MEMLIMIT=130MiB
	serve redis-server --port "$port" --bind 127.0.0.1 --save '' --maxmemory 100mb \
		--maxmemory-policy allkeys-lru
	wait_port "$port"
	active "$server"
	unset GOALLOC_MEMLIMIT
	for size in 40000 300000 60000 170000 90000 400000; do
		redis-benchmark -p "$port" -q -t set -r 20000 -n "$(pick 1500 4000)" -d $size -P 4 \
			>>bench
	done
	below "$(peak "$server")" $((130 * 1024)) 16384
	stop

	[ -z "${LD_PRELOAD-}" ] || export GOALLOC=memlimit=100MiB,hard=1
	(ulimit -v 400000 && PYTHONMALLOC=malloc /usr/bin/python3 - <<-END)
		for size in (1 << 20, 100000, 1000):
		    kept = []
		    try:
		        while True: kept.append(bytearray(size))
		    except MemoryError:
		        held = len(kept) * size
		    del kept
		    print(size, "ran out after more than 60 MB:", held > 60e6)
		print(len({str(i): i for i in range(50000)}))
	END
}
