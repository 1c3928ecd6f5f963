/* SPDX-License-Identifier: MIT */
/*
 * row.c - lists the rows of the bench. See row.h.
 *
 * A workload row takes 0.05 to 0.3 s under glibc, so that the default run with six allocators and
 * three rounds takes about two minutes. One more line in the table adds a row.
 */
#include "row.h"

#include "input.h"

#define MICRO(n, w)                                       \
	{                                                 \
		.group = ROW_MICRO, .name = n, .words = w \
	}
#define MICRO_FULL(n, w)                                                \
	{                                                               \
		.group = ROW_MICRO, .full = true, .name = n, .words = w \
	}

/* A program, and any other fields of the row. */
#define PROGRAM(n, w, i, ...)                                                          \
	{                                                                              \
		.group = ROW_PROGRAM, .name = n, .words = w, .input = i, ##__VA_ARGS__ \
	}

const struct row rows[] = {
	MICRO_FULL("pair 8 B", "pair 8"),
	MICRO("pair 16 B", "pair 16"),
	MICRO_FULL("pair 64 B", "pair 64"),
	MICRO("pair 256 B", "pair 256"),
	MICRO_FULL("pair 1 KiB", "pair 1K"),
	MICRO("pair 4 KiB", "pair 4K"),
	MICRO_FULL("pair 16 KiB", "pair 16K"),
	MICRO("pair 64 KiB", "pair 64K"),
	MICRO_FULL("pair 256 KiB", "pair 256K"),
	MICRO("pair 1 MiB", "pair 1M"),

	MICRO_FULL("bulk 8 B x 1000 fifo", "bulk 8 1000 fifo"),
	MICRO("bulk 16 B x 1000 lifo", "bulk 16 1000 lifo"),
	MICRO("bulk 64 B x 1000 fifo", "bulk 64 1000 fifo"),
	MICRO("bulk 64 B x 1000 random", "bulk 64 1000 random"),
	MICRO_FULL("bulk 256 B x 1000 fifo", "bulk 256 1000 fifo"),
	MICRO("bulk 1 KiB x 1000 random", "bulk 1K 1000 random"),
	MICRO_FULL("bulk 4 KiB x 1000 random", "bulk 4K 1000 random"),
	MICRO("bulk 16 KiB x 1000 lifo", "bulk 16K 1000 lifo"),
	MICRO_FULL("bulk 64 KiB x 1000 fifo", "bulk 64K 1000 fifo"),
	MICRO_FULL("bulk 1 MiB x 100 fifo", "bulk 1M 100 fifo"),
	MICRO_FULL("bulk 64 B x 10000 random", "bulk 64 10000 random"),
	MICRO("bulk 64 B x 100000 random", "bulk 64 100000 random"),
	MICRO_FULL("bulk 64 B x 1000000 random", "bulk 64 1000000 random"),

	MICRO("mix 100 live", "mix 100"),
	MICRO("mix 1000 live", "mix 1000"),
	MICRO("mix 10000 live", "mix 10000"),
	MICRO("mix 100000 live", "mix 100000"),
	MICRO_FULL("mix 1000000 live", "mix 1000000"),

	MICRO("handover 64 B", "handover 1 64"),
	MICRO("handover mixed", "handover 1 mixed"),
	MICRO_FULL("handover 4 KiB", "handover 1 4K"),
	MICRO_FULL("handover mixed, 4 pairs", "handover 4 mixed"),
	MICRO("exchange 2 threads", "exchange 2"),
	MICRO_FULL("exchange 16 threads", "exchange 16"),
	MICRO("churn 4 threads", "churn 4 500"),
	MICRO_FULL("churn 64 threads", "churn 64 500"),
	MICRO("server 2 threads", "server 2 1000"),
	MICRO_FULL("server 64 threads", "server 64 1000"),

	MICRO("growth to 64 KiB", "growth 1 64K"),
	MICRO("growth to 16 MiB", "growth 1 16M"),
	MICRO_FULL("growth to 1 GiB", "growth 1 1G"),
	MICRO("growth 1000 x 4 KiB", "growth 1000 4K"),
	MICRO("calloc 64 B reused", "zeroed 64 reused"),
	MICRO_FULL("calloc 1 KiB reused", "zeroed 1K reused"),
	MICRO("calloc 64 KiB reused", "zeroed 64K reused"),
	MICRO_FULL("calloc 64 B fresh", "zeroed 64 fresh"),
	MICRO("calloc 4 KiB fresh", "zeroed 4K fresh"),
	MICRO_FULL("calloc 1 MiB fresh", "zeroed 1M fresh"),
	MICRO("aligned to 64 B", "aligned 64"),
	MICRO("aligned to 4 KiB", "aligned 4K"),
	MICRO_FULL("aligned to 16 B .. 4 KiB", "aligned mixed"),

	MICRO("big 50 live", "big 1 50"),
	MICRO("big 50 live, 2 threads", "big 2 50"),
	MICRO_FULL("big 20 live, 16 threads", "big 16 20"),
	MICRO("fill 64 B to 64 MiB", "fill 64 64M"),
	MICRO_FULL("fill 64 B to 1 GiB", "fill 64 1G"),
	MICRO_FULL("fill 4 KiB to 1 GiB", "fill 4K 1G"),
	MICRO("steady 32 MiB", "steady 32M 12"),
	MICRO_FULL("steady 256 MiB, long", "steady 256M 120"),

	PROGRAM("start of true", "true", NULL, .repeat = 40),
	PROGRAM("python3 objects", "python3 -S objects.py", input_python),
	PROGRAM("python3 on malloc", "python3 -S objects.py", input_python,
		.env = "PYTHONMALLOC=malloc"),
	PROGRAM("perl hashes", "perl hashes.pl", input_perl),
	PROGRAM("lua tables", "lua tables.lua", input_lua),
	PROGRAM("sqlite3 insert", "sqlite3 -init insert.sql :memory: .quit", input_sqlite),
	PROGRAM("gcc compile", "gcc -O1 -S generated.c -o -", input_c_source),
	PROGRAM("sort text", "sh sort.sh", input_sort, .needs = "sort cksum"),
	PROGRAM("xz text", "xz -3 -T2 -k -c lines.txt", input_lines),

	PROGRAM("g++ compile", "g++ -O1 -S generated.cc -o -", input_cxx_source, .full = true),
	PROGRAM("node objects", "node objects.js", input_node, .full = true),
	PROGRAM("ruby objects", "ruby objects.rb", input_ruby, .full = true),
	PROGRAM("git gc", "git -C repository gc --quiet --prune=now --aggressive", input_git,
		.full = true, .prepare = "sh repository.sh", .env = "GIT_CONFIG_GLOBAL=/dev/null"),
	PROGRAM("redis", "sh redis.sh", input_redis, .full = true, .any_output = true,
		.needs = "redis-check-rdb redis-benchmark redis-cli"),
};

const size_t nrows = sizeof rows / sizeof rows[0];

const char *row_group_name(enum row_group group)
{
	return group == ROW_MICRO ? "micro" : "programs";
}
