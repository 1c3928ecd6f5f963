# sqlite.sh - bulk inserts, indexes, joins, full text, JSON, vacuum; database files byte-identical.
what="bulk insert, indexes, joins, JSON, full text, backup; dump and file identical"
packages="sqlite3"
programs="sqlite3"

run_case() {
	local n
	n=$(pick 40000 120000)
	sqlite3 out/db >out/results <<-END
		pragma page_size = 4096; pragma cache_size = 500; pragma journal_mode = wal;
		create table t (id integer primary key, a int, b text, c real);
		begin;
		with recursive r(i, x) as (select 1, 42 union all select i + 1, x * 16807 %
			2147483647 from r where i < $n)
			insert into t select i, x % 9973, hex(x) ||
				substr('some more text than that', 1, x % 24), x / 7.0 from r;
		commit;
		create index ta on t (a); create unique index tb on t (b, id);
		select a, count(*), sum(c), group_concat(substr(b, 1, 3)) from t group by a % 101
			order by 3;
		select count(*) from t x join t y on x.a = y.a + 1 and x.id % 97 = 0 and y.id % 89 =
			0;
		select json_group_array(json_object('k', b, 'v', a)) from (select * from t order by
			b limit 2000);
		create virtual table f using fts5 (body);
		insert into f select b || ' ' || replace(b, '0', ' ') from t limit 20000;
		select count(*), min(rowid) from f where f match 'some OR more';
		select snippet(f, 0, '[', ']', '..', 5) from f where f match 'text' limit 20;
		begin; delete from t where a % 3 = 0;
		update t set b = upper(b) || a where a % 5 = 0; rollback;
		delete from t where a % 7 = 0;
		select sum(row) from (select row_number() over (partition by a order by c) as row
			from t);
		vacuum; pragma integrity_check; pragma journal_mode = delete;
		.backup out/backup
	END
	sqlite3 out/db .dump | sha256sum
	sqlite3 out/backup 'pragma integrity_check; select count(*) from t'
	rm -f out/*-wal out/*-shm
}
