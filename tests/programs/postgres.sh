# postgres.sh - initdb, pgbench and SQL with parallel workers, as a user who is not root.
what="initdb, pgbench with 4 clients, parallel queries, dump, vacuum, clean shutdown"
packages="postgresql postgresql-contrib"
programs="initdb postgres pgbench psql pg_dump"
more_path=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

run_case() {
	local port user n
	port=$(free_port) n=$(pick 100 1000)
	other_user postgres
	mkdir data && chmod 777 .
	[ ${#user[@]} = 0 ] || chown postgres data
	export PGHOST=127.0.0.1 PGPORT=$port PGUSER=tester PGDATABASE=postgres
	${user[@]+"${user[@]}"} initdb -D data -U tester -A trust -N --no-locale -E UTF8 >initdb.log
	serve ${user[@]+"${user[@]}"} postgres -D data -p "$port" -h 127.0.0.1 -k "$PWD" -F -c \
		fsync=off -c shared_buffers=16MB -c jit=on -c jit_above_cost=100000 \
		-c max_parallel_workers_per_gather=2 -c parallel_setup_cost=0 -c \
		parallel_tuple_cost=0 -c min_parallel_table_scan_size=0
	for _ in {1..100}; do ! pg_isready -q || break; sleep 0.1; done
	# shellcheck disable=SC2046 # one number a word
	active "$server" $(children "$server")
	pgbench -i -q -s 1 >bench.log 2>&1
	pgbench -n -c 4 -j 2 -t "$n" >>bench.log 2>&1
	pgbench -n -c 4 -j 2 -t "$n" -S -M prepared >>bench.log 2>&1
	grep -c 'number of failed transactions: 0' bench.log
	psql -X -q -A -t -v ON_ERROR_STOP=1 <<-'END'
		select count(*), sum(delta) = (select sum(abalance) from pgbench_accounts),
			sum(delta) = (select sum(bbalance) from pgbench_branches) from
				pgbench_history;
		create table t as select i, md5(i::text) m, array[i, i * 2] a,
			jsonb_build_object('k', i, 'v', md5(i::text)) j from generate_series(1,
				30000) i;
		create index on t using gin (j); create index on t (m); analyze t;
		set work_mem = '64kB';
		select count(*), sum(length(string_agg)) from (select string_agg(m, ',' order by m
			desc) from t group by i % 997) s;
		select count(*) from t x join t y on x.m > y.m and x.i % 500 = 1 and y.i % 300 = 2;
		select md5(string_agg(m, '' order by j->>'v')) from t;
		select count(*) from t where j @> '{"k": 77}';
		select count(*) from t where m ~ '^(a|b).*[0-9]{5}$';
		do $$ declare s text := ''; begin for i in 1..3000 loop s := s || i;
		begin perform 1 / (i % 10); exception when division_by_zero then s := s || '.'; end;
		end loop; raise notice '%', length(s); end $$;
		with recursive r(n, v) as (select 1, 1::numeric union all select n + 1, v * (n + 1)
			from r where n < 500) select length(max(v)::text) from r;
		update t set m = upper(m) where i % 3 = 0; vacuum full t; reindex table t;
	END
	pg_dump -t t | grep -v -e '^\\\(un\)\?restrict' -e '^-- Dumped' | sha256sum
	psql -X -q -c 'select no_such_column' 2>&1 || echo "psql: exit status $?"
	stop INT
	! grep -E 'terminated by signal|PANIC' server.log || false
}
