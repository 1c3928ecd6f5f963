# leaks.sh - programs with the leak finder at their end, and one that it looks at while it works.
what="sqlite3, python3, bash, perl, as and ld with GOALLOC=leakcheck=2; redis-server is looked at"
what+=" on a signal, under load"
packages="sqlite3 python3 perl binutils gcc redis-server redis-tools"
programs="/usr/bin/sqlite3 /usr/bin/python3 /bin/bash /usr/bin/perl as ld redis-server"

# leaks NAME WANT COMMAND...: runs it; with the library its report must be there and tell of WANT
# objects ("any": of however many).
leaks() {
	local name=$1 want=$2 got
	shift 2
	GOALLOC="leakcheck=2,leakreport=$PWD/$name.report" "$@"
	[ -n "${LD_PRELOAD-}" ] || return 0
	got=$(sed -n 's/^goalloc: leaked: \([0-9]*\) object.*/\1/p' "$name.report" | tail -n 1)
	[ -n "$got" ] && { [ "$want" = any ] || [ "$want" = "$got" ]; } && return 0
	{ echo "$name: $got leaks, not $want" && cat "$name.report"; } >&2
	return 1
}

run_case() {
	local port
	words 3000 >words
	leaks sqlite3 0 /usr/bin/sqlite3 :memory: \
		"create table t (a, b);
		with recursive r(i) as (select 1 union all select i + 1 from r where i < 3000)
		insert into t select i, hex(i) from r;
		create index x on t (b);
		select count(*), sum(length(b)) from t group by a % 7"
	PYTHONMALLOC=malloc leaks python3 0 /usr/bin/python3 -c 'import collections, json, re
words = (w for l in open("words") for w in re.split(r"\W+", l))
print(len(collections.Counter(words)))'
	leaks bash 0 /bin/bash --norc -c \
		'declare -A m; while read -r a b c; do m[$b]+=$a; done <words; echo "${#m[@]}"'
	leaks perl any /usr/bin/perl -ne \
		'@f = split; push @{$h{$f[1]}}, $f[0];
		END { print join(",", map { scalar @{$h{$_}} } sort keys %h), "\n" }' words
	printf 'int f(int a) { return a + 1; }\nint main(void) { return f(-1); }\n' >a.c
	gcc -S a.c -o a.s
	leaks as any as a.s -o a.o
	leaks ld any ld -e main a.o -o a.out
	[ -x a.out ] && echo "linked"

	port=$(free_port)
	serve env GOALLOC="signal=USR2,leakcheck=1,leakreport=$PWD/redis.report" redis-server \
		--port "$port" --bind 127.0.0.1 --save '' --io-threads 2
	wait_port "$port"
	active "$server"
	redis-benchmark -p "$port" -q -n "$(pick 20000 100000)" -c 20 -r 10000 -t \
		set,get,lpush,zadd >bench &
	for _ in {1..10}; do
		sleep 0.1
		[ -z "${LD_PRELOAD-}" ] || kill -USR2 "$server"
	done
	wait $!
	redis-cli -p "$port" ping
	stop
	[ -n "${LD_PRELOAD-}" ] || return 0
	! grep -v -e '^goalloc: leak check of redis-server' -e 'leaked: 0 objects' redis.report >&2
}
