# SPDX-License-Identifier: MIT
#
# programs.sh - real programs, built with musl from Debian's source packages, for tests/musl/run.
#
# Each program runs with musl's malloc, with the library preloaded and linked with goalloc.o, and
# must write the same. The processor's time is told: the least of three runs.

# make_PROGRAM DIR LINK... - builds the program in a copy of its source, with what is linked to it.
make_lua() {
	(cd "$1" && make -s -C src lua CC="$musl" MYCFLAGS="-DLUA_USE_POSIX" \
		MYLIBS="${*:2}" SYSCFLAGS= SYSLIBS= >/dev/null 2>&1) && ln -sfn src/lua "$1/program"
}

make_sqlite3() {
	(cd "$1" && CC="$musl" LIBS="${*:2}" ./configure --disable-tcl --disable-readline \
		--disable-shared >/dev/null 2>&1 && make -s -j2 BCC=gcc sqlite3 >/dev/null 2>&1) &&
		ln -sfn sqlite3 "$1/program"
}

make_busybox() {
	(cd "$1" && make -s defconfig >/dev/null 2>&1 &&
		sed -i 's/^CONFIG_EXTRA_LDLIBS=.*/CONFIG_EXTRA_LDLIBS=""/
			s/^CONFIG_TC=.*/CONFIG_TC=n/' .config &&
		make -s -j2 CC="$musl" HOSTCC=gcc LDLIBS="${*:2} m" >/dev/null 2>&1) &&
		ln -sfn busybox_unstripped "$1/program"
}

make_redis() {
	(cd "$1" && make -s -j2 CC="$musl" MALLOC=libc LDFLAGS="${*:2}" OPTIMIZATION=-O2 \
		redis-server >/dev/null 2>&1) && ln -sfn src/redis-server "$1/program"
}

# run_PROGRAM PROGRAM - does the work, and writes its result.
run_lua() {
	"$1" -e 'local t = {} for i = 1, 600000 do t[i % 5000] = {i, tostring(i), {i}} end
		local n = 0 for k, v in pairs(t) do n = n + v[1] end print(n)
		local s = {} for i = 1, 200000 do s[#s + 1] = ("x"):rep(i % 50) .. i end
		print(#table.concat(s))'
}

run_sqlite3() {
	"$1" :memory: "create table t(a integer primary key, b text);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 120000)
		insert into t select i, hex(i * 7919) || printf('%0' || (i % 60) || 'd', i) from n;
		create index u on t(b); select count(*), sum(length(b)), max(b) from t;
		select sum(a) from (select a from t order by b desc limit 50000);"
}

run_busybox() {
	"$1" seq 150000 | "$1" awk '{ t[$1 % 3000] = t[$1 % 3000] " " $1 } END {
		for (k in t) n += length(t[k]); print n }'
	"$1" seq 120000 | "$1" sort -r | "$1" md5sum
}

# Redis works on a script of its own, in memory.
run_redis() {
	local dir=$PWD/redis.$$
	mkdir -p "$dir"
	"$1" --port 0 --unixsocket "$dir/s" --save '' --daemonize no >/dev/null 2>&1 &
	local pid=$! n=0
	while [ ! -S "$dir/s" ] && [ $((n += 1)) -lt 100 ]; do sleep 0.05; done
	python3 - "$dir/s" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		f = s.makefile("rb")
		s.sendall(b"EVAL \"for i = 1, 150000 do redis.call('set', 'k' .. i % 20000, "
			  b"string.rep('v', i % 200)) redis.call('rpush', 'l' .. i % 100, i) end "
			  b"return redis.call('dbsize')\" 0\r\n")
		print(f.readline().decode().strip())
	END
	kill "$pid"
	wait "$pid" 2>/dev/null
	rm -rf "$dir"
}

# least_ms NAME PROGRAM - runs three times; sets ms, and text to what was written.
least_ms() {
	local took i TIMEFORMAT='%3U %3S'
	ms=999999
	for i in 1 2 3; do
		took=$( { time run_"$1" "$2" >"$cache/text" 2>&1; } 2>&1)
		text=$(cat "$cache/text")
		took=$(echo "$took" | awk '{ printf "%d", ($1 + $2) * 1000 }')
		[ "$took" -ge "$ms" ] || ms=$took
	done
}

run_programs() {
	local name package kind failed=0 dir link text ms expected base
	for name in lua sqlite3 busybox redis; do
		package=$name
		[ $name != lua ] || package=lua5.4
		source_of $package || {
			echo "musl.$name: skipped, its source cannot be had by apt-get"
			continue
		}
		for kind in plain linked; do
			dir=$cache/built/$name.$kind link=()
			[ $kind = plain ] || link=("$build/goalloc.o")
			[ $kind = plain ] && [ -e "$dir/program" ] && continue
			rm -rf "$dir" && mkdir -p "$cache/built" && cp -a "$cache/$package" "$dir"
			musl="musl-gcc $flags"
			make_$name "$dir" "${link[@]+"${link[@]}"}" && [ -x "$dir/program" ] || {
				echo "musl.$name: FAILED, $kind does not build"
				failed=1
				continue 2
			}
		done
		# The loader of musl preloads, into musl's programs only.
		preloaded=$cache/built/$name.plain/preloaded
		printf '#!/bin/sh\nLD_PRELOAD=%s exec %s "$@"\n' "$build/libgoalloc.so" \
			"$cache/built/$name.plain/program" >"$preloaded"
		chmod +x "$preloaded"
		least_ms $name "$cache/built/$name.plain/program"
		expected=$text base=$ms
		for kind in preloaded linked; do
			program=$preloaded
			[ $kind = preloaded ] || program=$cache/built/$name.linked/program
			least_ms $name "$program"
			if [ "$text" != "$expected" ] || [ -z "$text" ]; then
				echo "musl.$name.$kind: FAILED, writes:" "$text" "not:" "$expected"
				failed=1
			else
				echo "musl.$name.$kind: passed, $ms ms; musl's malloc: $base ms"
			fi
		done
	done
	return $failed
}
