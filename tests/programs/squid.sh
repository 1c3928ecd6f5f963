# squid.sh - a proxy that frees the addresses of its sockets by a size that is not theirs.
what="squid between 10 clients and a server, a reload; sizemismatch=warn"
packages="squid curl python3-minimal"
programs="squid curl python3"

run_case() {
	local port origin file i
	export GOALLOC=sizemismatch=warn
	mkdir -p www log
	chmod 777 . www log
	for i in {1..10}; do words $((i * 300)) >"www/$i"; done
	origin=$(free_port)
	serve python3 -m http.server "$origin" --bind 127.0.0.1 -d www
	wait_port "$origin"
	port=$(free_port)
	cat >squid.conf <<-END
		http_port 127.0.0.1:$port
		http_access allow all
		cache_mem 8 MB
		access_log none
		netdb_filename none
		cache_log $PWD/log/cache
		pid_filename $PWD/log/pid
		coredump_dir $PWD/log
		shutdown_lifetime 0 seconds
	END
	serve squid -N -n "case$port" -f "$PWD/squid.conf"
	wait_port "$port"
	active "$server"
	for i in {1..3}; do
		for file in {1..10}; do
			curl -s -o "got.$file" -x "http://127.0.0.1:$port" \
				"http://127.0.0.1:$origin/$file" &
		done
		for file in {1..10}; do wait -n; done
		cat got.{1..10} | sha256sum
		kill -HUP "$server" && sleep 1 && wait_port "$port"
	done
	[ -z "${LD_PRELOAD-}" ] || grep -q 'goalloc: operator delete(.*size mismatch' server.log
	stop
}
