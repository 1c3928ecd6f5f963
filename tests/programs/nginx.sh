# nginx.sh - nginx with two workers and a thread pool under wrk.
what="nginx with 2 workers, gzip, proxy and a reload under wrk"
packages="nginx-light wrk"
programs="nginx wrk"

run_case() {
	local port seconds path
	port=$(free_port) seconds=$(pick 1 2)
	mkdir -p www logs
	chmod 755 . www
	seq 1 2000 >www/small.txt && seq 1 200000 >www/large.txt && touch -d @1600000000 www/*
	cat >nginx.conf <<-END
		daemon off; worker_processes 2; pid $PWD/pid; error_log $PWD/errors;
		user nobody nogroup; thread_pool default threads=2;
		events { worker_connections 256; }
		http {
			access_log $PWD/access combined buffer=16k; client_body_temp_path $PWD/body;
			proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fcgi;
			uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
			types { text/plain txt; }
			gzip on; gzip_types text/plain; gzip_min_length 1; gzip_http_version 1.0;
			aio threads; sendfile off;
			server {
				listen 127.0.0.1:$port; root $PWD/www;
				location /proxied/ { proxy_pass http://127.0.0.1:$port/;
				proxy_buffers 4 4k; }
				location /text { return 200 "text of \$request_uri\n"; }
				location /list/ { alias $PWD/www/; autoindex on; }
			}
		}
	END
	nginx -t -q -e errors -p "$PWD" -c nginx.conf
	serve nginx -e errors -p "$PWD" -c nginx.conf
	wait_port "$port"
	sleep 0.2
	# shellcheck disable=SC2046 # one number a word
	active "$server" $(children "$server")
	for path in small.txt large.txt proxied/large.txt text/a?b=c list/ missing; do
		http "$port" "/$path" | sha256sum
		http "$port" "/$path" "Accept-Encoding: gzip"$'\r' | sha256sum
	done
	wrk -t 2 -c 20 -d "${seconds}s" "http://127.0.0.1:$port/small.txt" >wrk.log
	kill -HUP "$server" && sleep 0.3
	wrk -t 2 -c 20 -d "${seconds}s" -H 'Accept-Encoding: gzip' \
		"http://127.0.0.1:$port/proxied/small.txt" >>wrk.log
	wrk -t 1 -c 5 -d "${seconds}s" "http://127.0.0.1:$port/text" >>wrk.log
	! grep -E 'Socket errors|Non-2xx' wrk.log || false
	grep -c 'Requests/sec' wrk.log
	! grep -E 'exited on signal|\[(alert|emerg|crit)\]' errors || false
	stop QUIT
}
