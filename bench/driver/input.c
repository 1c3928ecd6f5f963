/* SPDX-License-Identifier: MIT */
/*
 * input.c - contains the scripts and generates the texts that the real programs read. See input.h.
 *
 * Every script prints a value that depends on all its work, so that a wrong result is noticed.
 */
#include "input.h"

#include <stdint.h>
#include <stdio.h>

#define NLINES     20000u
#define NFUNCTIONS 50u
#define NCOMMITS   150u
#define NFILES     40u

static FILE *create(const char *dir, const char *name)
{
	char path[4096 + 64];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return fopen(path, "w");
}

/* Closes the file and returns whether all was written. NULL is a file that cannot be created. */
static bool finish(FILE *f)
{
	if (f == NULL)
		return false;
	bool ok = ferror(f) == 0;
	return fclose(f) == 0 && ok;
}

static bool write_text(const char *dir, const char *name, const char *text)
{
	FILE *f = create(dir, name);

	if (f != NULL)
		fputs(text, f);
	return finish(f);
}

static uint32_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void print_words(FILE *f, uint64_t *state, unsigned nwords)
{
	static const char *const syllable[] = { "al", "be", "co", "du", "en", "fi", "go", "ha",
						"in", "jo", "ka", "lu", "mi", "no", "or", "pe" };

	for (unsigned i = 0; i < nwords; i++) {
		uint32_t r = next(state);

		fprintf(f, "%s%s%s%s", i > 0 ? " " : "", syllable[r & 15], syllable[r >> 4 & 15],
			r & 256 ? syllable[r >> 9 & 15] : "");
	}
}

bool input_python(const char *dir)
{
	return write_text(
		dir, "objects.py",
		"class Point:\n"
		"    def __init__(self, x, name):\n"
		"        self.x = x\n"
		"        self.name = name\n"
		"total = 0\n"
		"for turn in range(2):\n"
		"    words = {}\n"
		"    for i in range(30000):\n"
		"        words.setdefault('key %d' % (i % 9000), []).append(str(i) * 3)\n"
		"    points = [Point(i, 'p%d' % i) for i in range(20000)]\n"
		"    table = {p.name: (p.x, [p.x] * (p.x % 40)) for p in points}\n"
		"    text = ' '.join(sorted(words)[:5000]).split()\n"
		"    total += len(table) + len(text) + sum(len(v) for v in words.values())\n"
		"print(total)\n");
}

bool input_perl(const char *dir)
{
	return write_text(dir, "hashes.pl",
			  "use strict;\n"
			  "my $total = 0;\n"
			  "my (%count, %list);\n"
			  "for my $i (1 .. 80000) {\n"
			  "    my $word = 'word' . ($i * 7919 % 20011);\n"
			  "    $count{$word}++;\n"
			  "    push @{ $list{$i % 5003} }, $word . ('x' x ($i % 50));\n"
			  "}\n"
			  "my $text = join ' ', map { \"$_=$count{$_}\" } sort keys %count;\n"
			  "my @parts = split / /, $text;\n"
			  "$total += @parts + length($text);\n"
			  "$total += length(join '', @{ $list{$_} }) for keys %list;\n"
			  "print \"$total\\n\";\n");
}

bool input_lua(const char *dir)
{
	return write_text(
		dir, "tables.lua",
		"local total = 0\n"
		"local function tree(depth)\n"
		"    if depth == 0 then return { 1 } end\n"
		"    return { tree(depth - 1), tree(depth - 1), depth }\n"
		"end\n"
		"local function count(t)\n"
		"    if type(t[1]) == 'number' then return 1 end\n"
		"    return count(t[1]) + count(t[2])\n"
		"end\n"
		"for turn = 1, 2 do\n"
		"    total = total + count(tree(13))\n"
		"    local names = {}\n"
		"    for i = 1, 30000 do\n"
		"        names['name' .. i] = { id = i, text = ('x'):rep(i % 100) .. i }\n"
		"    end\n"
		"    for _, v in pairs(names) do total = total + #v.text end\n"
		"end\n"
		"print(total)\n");
}

bool input_node(const char *dir)
{
	return write_text(
		dir, "objects.js",
		"let total = 0;\n"
		"for (let turn = 0; turn < 4; turn++) {\n"
		"    const names = new Map();\n"
		"    for (let i = 0; i < 50000; i++)\n"
		"        names.set('name' + i, { id: i, list: [i, i + 1, 'x'.repeat(i % 50)] });\n"
		"    const buffers = [];\n"
		"    for (let i = 0; i < 2000; i++)\n"
		"        buffers.push(Buffer.alloc(i * 8 + 1, i & 255));\n"
		"    total += JSON.stringify([...names]).length + Buffer.concat(buffers).length;\n"
		"}\n"
		"console.log(total);\n");
}

bool input_ruby(const char *dir)
{
	return write_text(dir, "objects.rb",
			  "total = 0\n"
			  "3.times do\n"
			  "  names = {}\n"
			  "  60000.times do |i|\n"
			  "    names[\"name#{i % 9001}\"] = [i, 'x' * (i % 90), i.to_s * 3]\n"
			  "  end\n"
			  "  text = names.map { |k, v| \"#{k}=#{v.join(',')}\" }.sort.join(' ')\n"
			  "  total += text.split(' ').map { |w| w.sub('x', 'yy').length }.sum\n"
			  "end\n"
			  "puts total\n");
}

bool input_sqlite(const char *dir)
{
	return write_text(
		dir, "insert.sql",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, number INTEGER);\n"
		"CREATE INDEX by_name ON t (name);\n"
		"BEGIN;\n"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)\n"
		"INSERT INTO t SELECT i, 'name ' || (i * 7919 % 60013), i % 1000 FROM n;\n"
		"COMMIT;\n"
		"SELECT number, count(*), group_concat(substr(name, 6), '') FROM t\n"
		"    GROUP BY number ORDER BY number LIMIT 20;\n"
		"SELECT count(*) FROM t a JOIN t b ON a.name = b.name;\n"
		"UPDATE t SET name = name || ' again' WHERE number < 500;\n"
		"SELECT sum(length(name)) FROM t;\n");
}

bool input_c_source(const char *dir)
{
	FILE *f = create(dir, "generated.c");
	uint64_t state = 1;

	for (unsigned i = 0; f != NULL && i < NFUNCTIONS; i++) {
		fprintf(f,
			"struct record_%u { int id; double weight; struct record_%u *next; };\n"
			"int work_%u(struct record_%u *r, int n)\n"
			"{\n"
			"\tint sum = %u;\n"
			"\tfor (int i = 0; i < n && r; i++, r = r->next) {\n"
			"\t\tif ((r->id ^ i) & %u)\n"
			"\t\t\tsum += r->id * %u - (int)r->weight;\n"
			"\t\telse\n"
			"\t\t\tswitch (sum %% 7) {\n"
			"\t\t\tcase 0: sum ^= i; break;\n"
			"\t\t\tcase 3: sum -= r->id; break;\n"
			"\t\t\tdefault: sum += %u;\n"
			"\t\t\t}\n"
			"\t}\n"
			"\treturn sum;\n"
			"}\n",
			i, i, i, i, next(&state) % 100, next(&state) % 64 + 1,
			next(&state) % 50 + 1, next(&state) % 1000);
	}
	return finish(f);
}

bool input_cxx_source(const char *dir)
{
	FILE *f = create(dir, "generated.cc");

	if (f == NULL)
		return false;
	fputs("#include <algorithm>\n#include <functional>\n#include <map>\n#include <memory>\n"
	      "#include <regex>\n#include <string>\n#include <vector>\n",
	      f);
	for (unsigned i = 0; i < 4; i++)
		fprintf(f,
			"struct value_%u { std::string name; int n; };\n"
			"int use_%u(std::map<std::string, std::vector<value_%u>> &m)\n"
			"{\n"
			"\tint sum = 0;\n"
			"\tfor (auto &e : m) {\n"
			"\t\tauto less = [](value_%u const &a, value_%u const &b)\n"
			"\t\t            { return a.n < b.n; };\n"
			"\t\tstd::sort(e.second.begin(), e.second.end(), less);\n"
			"\t\tfor (auto &v : e.second)\n"
			"\t\t\tsum += v.n + (int)v.name.find(\"a%u\");\n"
			"\t}\n"
			"\treturn sum;\n"
			"}\n",
			i, i, i, i, i, i);
	return finish(f);
}

bool input_lines(const char *dir)
{
	FILE *f = create(dir, "lines.txt");
	uint64_t state = 2;

	for (unsigned i = 0; f != NULL && i < NLINES; i++) {
		print_words(f, &state, 3 + next(&state) % 6);
		fputc('\n', f);
	}
	return finish(f);
}

bool input_sort(const char *dir)
{
	return input_lines(dir) && write_text(dir, "sort.sh",
					      "sort -k 2 lines.txt | cksum\n"
					      "sort -u lines.txt | cksum\n");
}

/* Writes a stream for git fast-import: text files of which each commit changes some lines. */
bool input_git(const char *dir)
{
	FILE *f = create(dir, "repository.import");
	uint64_t state = 3;

	for (unsigned commit = 0; f != NULL && commit < NCOMMITS; commit++) {
		fprintf(f,
			"commit refs/heads/main\ncommitter A <a@example.org> %u +0000\ndata 1\nc\n",
			1600000000u + commit);
		for (unsigned file = 0; file < NFILES; file++) {
			char body[4096];
			FILE *b = fmemopen(body, sizeof body, "w");
			uint64_t lines = file + 1;

			if (b == NULL)
				break;
			if (commit > 0 && next(&state) % 4 != 0) {
				fclose(b);
				continue;
			}
			for (unsigned line = 0; line < 60; line++) {
				if (line == next(&state) % 60)
					print_words(b, &state, 6);
				else
					print_words(b, &lines, 6);
				fputc('\n', b);
			}
			long nbytes = ftell(b);
			fclose(b);
			fprintf(f, "M 644 inline file%u.txt\ndata %ld\n%.*s\n", file, nbytes,
				(int)nbytes, body);
		}
	}
	return finish(f) &&
	       write_text(dir, "repository.sh",
			  "set -e\n"
			  "git init -q --bare repository\n"
			  "git -C repository fast-import --quiet <repository.import\n");
}

/* redis-check-rdb is the server under another name, and its package starts no service. Debian's
 * server is linked with jemalloc. The script preloads libc when nothing else is preloaded, so that
 * the column of glibc measures glibc's malloc. */
bool input_redis(const char *dir)
{
	return write_text(
		dir, "redis.sh",
		"preload=${LD_PRELOAD:-libc.so.6}\n"
		"unset LD_PRELOAD\n"
		"ln -sf \"$(command -v redis-check-rdb)\" redis-server\n"
		"LD_PRELOAD=$preload ./redis-server --port 0 --unixsocket redis.sock --save '' \\\n"
		"    --appendonly no >/dev/null &\n"
		"tries=0\n"
		"until redis-cli -s redis.sock ping >/dev/null 2>&1; do\n"
		"    tries=$((tries + 1))\n"
		"    [ $tries -gt 200 ] && { echo 'redis-server does not answer' >&2; exit 1; }\n"
		"    sleep 0.02\n"
		"done\n"
		"redis-benchmark -s redis.sock -n 80000 -P 16 -r 100000 -d 120 \\\n"
		"    -t set,get,lpush,lpop,sadd,hset -q >/dev/null || exit 1\n"
		"redis-cli -s redis.sock shutdown nosave >/dev/null 2>&1\n"
		"wait\n");
}
