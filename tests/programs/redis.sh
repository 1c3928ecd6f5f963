# redis.sh - redis-server under redis-benchmark, a forked save, scripts, eviction and lazy frees.
what="redis-server under redis-benchmark, background save, AOF rewrite, Lua, lazy free"
packages="redis-server redis-tools"
programs="redis-server redis-cli redis-benchmark"

cli() { redis-cli -p "$port" "$@"; }

run_case() {
	local port n rdb
	port=$(free_port) n=$(pick 4000 20000)
	serve redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly yes --dir "$PWD" \
		--daemonize no
	wait_port "$port"
	active "$server"
	redis-benchmark -p "$port" -q -n "$n" -c 20 -r 10000 -d 100 -t \
		ping,set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >bench
	redis-benchmark -p "$port" -q -n "$n" -c 20 -P 16 --threads 2 -r 100000 -d 3000 -t set \
		>>bench
	tr '\r' '\n' <bench | grep -c 'requests per second'
	cli flushall async
	cli eval "math.randomseed(1)
		for i = 1, 20000 do
			redis.call('set', 'k' .. i, string.rep('v', i % 500))
			redis.call('zadd', 'z', i * 7919 % 10007, 'm' .. i)
			redis.call('hset', 'h' .. i % 100, i, i)
			redis.call('rpush', 'l' .. i % 10, string.rep('x', i % 90))
		end
		return redis.call('dbsize')" 0
	cli zrange z 0 20 withscores
	cli lrange l3 -3 -1
	cli sort l4 alpha limit 0 5
	cli object encoding z
	cli bgrewriteaof
	while cli info persistence | grep 'rewrite_in_progress:1' >/dev/null; do sleep 0.05; done
	cli bgsave schedule
	while cli info persistence | grep 'bgsave_in_progress:1' >/dev/null; do sleep 0.05; done
	cli info persistence | tr -d '\r' | grep -e last_bgsave_status -e last_bgrewrite_status
	rdb=$(redis-check-rdb dump.rdb | grep -c 'RDB looks OK') && echo "rdb ok: $rdb"
	cli config set maxmemory 6mb
	cli config set maxmemory-policy allkeys-lru
	cli eval "for i = 1, 3000 do redis.call('set', 'big' .. i, string.rep('b', 2000)) end
		return 'set'" 0
	for _ in {1..100}; do # eviction is bounded in time per command
		[ "$(cli dbsize)" -ge 20000 ] || { echo "evicted" && break; }
		cli set big 1 >/dev/null
	done
	cli memory purge >/dev/null
	cli config set maxmemory 0
	cli flushall
	cli dbsize
	stop
}
