/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - every key takes effect, and anything else is one line on stderr and has no
 * effect.
 */
#include "module.h"

#include "base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* The weak symbol a program may define: NULL here until a test sets it. */
extern const char *goalloc_conf;
const char *goalloc_conf;

static bool secure;
bool __wrap_os_is_secure(void);
bool __wrap_os_is_secure(void)
{
	return secure;
}

struct parse {
	struct options o;
	const char *text;
};

/* Returns the line that a bad item causes, in one of a few buffers. */
static const char *bad_line(const char *item, const char *takes)
{
	static char lines[4][512];
	static unsigned next;
	char *line = lines[next++ % 4];

	snprintf(line, sizeof(lines[0]),
		 "goalloc: GOALLOC: bad value in '%s', ignored; it takes %s\n", item, takes);
	return line;
}

/* The options before anything was read. */
static struct options defaults;

static void call_parse(void *arg)
{
	struct parse *p = arg;

	options_parse(&p->o, "GOALLOC", p->text);
}

/* Parses text over the defaults, with exactly these lines on stderr. */
static struct options parse(const char *text, const char *lines)
{
	struct parse p = { defaults, text };
	char written[4096];

	capture_stderr(call_parse, &p, written, sizeof(written));
	assert_string_equal(written, lines);
	return p.o;
}

static void assert_same(struct options a, struct options b)
{
	assert_int_equal(a.off, b.off);
	assert_int_equal(a.thp, b.thp);
	assert_int_equal(a.scavthread, b.scavthread);
	assert_int_equal(a.invalidptr_abort, b.invalidptr_abort);
	assert_int_equal(a.sizemismatch_warn, b.sizemismatch_warn);
	assert_int_equal(a.clobberfree, b.clobberfree);
	assert_int_equal(a.efence, b.efence);
	assert_int_equal(a.sbrk, b.sbrk);
	assert_int_equal(a.hardened, b.hardened);
	assert_int_equal(a.keyed, b.keyed);
	assert_int_equal(a.hard, b.hard);
	assert_int_equal(a.decoratemappings, b.decoratemappings);
	assert_int_equal(a.view, b.view);
	assert_int_equal(a.help, b.help);
	assert_int_equal(a.realloczero, b.realloczero);
	assert_int_equal(a.scavenge_ms, b.scavenge_ms);
	assert_int_equal(a.guardrate, b.guardrate);
	assert_int_equal(a.leakcheck, b.leakcheck);
	assert_int_equal(a.leakexit, b.leakexit);
	assert_int_equal(a.signal, b.signal);
	assert_int_equal(a.every_s, b.every_s);
	assert_int_equal(a.peak, b.peak);
	assert_int_equal(a.memlimit_percent, b.memlimit_percent);
	assert_int_equal(a.memlimit, b.memlimit);
	assert_int_equal(a.memprofilerate, b.memprofilerate);
	assert_string_equal(a.stats, b.stats);
	assert_string_equal(a.profile, b.profile);
	assert_string_equal(a.leakreport, b.leakreport);
	assert_string_equal(a.suppressions, b.suppressions);
	assert_string_equal(a.heapmap, b.heapmap);
	assert_int_equal(a.stats_fd, b.stats_fd);
	assert_int_equal(a.report_fd, b.report_fd);
}

/* Checks that each value gives exactly one line. */
static void expect_refused(const char *key, const char *takes, const char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char item[256];

		snprintf(item, sizeof(item), "%s=%s", key, values[i]);
		assert_same(parse(item, bad_line(item, takes)), defaults);
	}
}

#define EXPECT_REFUSED(key, takes, ...) \
	expect_refused(key, takes, (const char *const[]){ __VA_ARGS__ }, \
		       sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* --- one test a type of value --- */

struct flag {
	const char *name;
	size_t field;
};

static const struct flag flags[] = {
	{ "off", offsetof(struct options, off) },
	{ "thp", offsetof(struct options, thp) },
	{ "clobberfree", offsetof(struct options, clobberfree) },
	{ "efence", offsetof(struct options, efence) },
	{ "sbrk", offsetof(struct options, sbrk) },
	{ "hard", offsetof(struct options, hard) },
	{ "decoratemappings", offsetof(struct options, decoratemappings) },
	{ "view", offsetof(struct options, view) },
	{ "help", offsetof(struct options, help) },
};

static void flags_take_0_and_1_and_stand_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		static const char *const texts[] = { "%s=1", "%s=0", "%s=0,%s", "%s=1,%s=0" };

		for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
			char text[64];
			struct options o, expected = defaults;

			snprintf(text, sizeof(text), texts[t], flags[i].name, flags[i].name);
			o = parse(text, "");
			*((bool *)&expected + flags[i].field) = t % 2 == 0;
			/* That flag, and no other. */
			assert_same(o, expected);
		}
	}
}

static void a_flag_that_is_neither_0_nor_1_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		EXPECT_REFUSED(flags[i].name, "0|1", "", "2", "00", "01", "10", "yes", "true", "1 ",
			       " 1", "-1");
}

static void scavthread_is_on_off_or_left_to_the_limit(void **state)
{
	(void)state;
	assert_int_equal(defaults.scavthread, SCAVTHREAD_AUTO);
	assert_int_equal(parse("scavthread=1", "").scavthread, SCAVTHREAD_ON);
	assert_int_equal(parse("scavthread", "").scavthread, SCAVTHREAD_ON);
	assert_int_equal(parse("scavthread=0", "").scavthread, SCAVTHREAD_OFF);
	assert_same(parse("scavthread=1,scavthread=auto", ""), defaults);
	EXPECT_REFUSED("scavthread", "0|1|auto", "", "2", "01", "on", "AUTO", "1 ");
}

static void hardened_has_two_levels(void **state)
{
	(void)state;
	assert_same(parse("hardened=0", ""), defaults);
	assert_true(parse("hardened=1", "").hardened && !parse("hardened=1", "").keyed);
	assert_true(parse("hardened=2", "").hardened && parse("hardened=2", "").keyed);
	assert_true(parse("hardened", "").hardened && !parse("hardened", "").keyed);
	assert_same(parse("hardened=2,hardened=0", ""), defaults);
	EXPECT_REFUSED("hardened", "0|1|2", "", "3", "10", "yes", "1 ", "-1");
}

static void leakcheck_has_two_levels(void **state)
{
	(void)state;
	assert_same(parse("leakcheck=0", ""), defaults);
	assert_int_equal(parse("leakcheck=1", "").leakcheck, 1);
	assert_int_equal(parse("leakcheck", "").leakcheck, 1);
	assert_int_equal(parse("leakcheck=2", "").leakcheck, 2);
	EXPECT_REFUSED("leakcheck", "0|1|2", "", "3", "yes", "-1");
}

static uint32_t scavenge_of(const char *text)
{
	struct options o = parse(text, "");

	return atomic_load(&o.scavenge_ms);
}

static void scavenge_is_a_number_of_ms_up_to_a_day(void **state)
{
	(void)state;
	assert_int_equal(scavenge_of("scavenge=0"), 0);
	assert_int_equal(scavenge_of("scavenge=1"), 1);
	assert_int_equal(scavenge_of("scavenge=86400000"), 86400000);
	/* One more; 2^32, 2^32 + 1, 2^64 + 1: no wrap around. */
	EXPECT_REFUSED("scavenge", "0..86400000", "86400001", "4294967296", "4294967297",
		       "18446744073709551617", "00000000000000000005", "", "-1", "+1", "1s", "1.5",
		       "0x10", " 5", "ten", ":", "/");
	/* Alone it is no number. */
	assert_same(parse("scavenge", bad_line("scavenge", "0..86400000")), defaults);
}

static void suppressions_are_a_file_or_off(void **state)
{
	char item[OPTION_PATH_MAX + 100] = "suppressions=";

	(void)state;
	assert_string_equal(parse("suppressions=lsan.supp", "").suppressions, "lsan.supp");
	assert_same(parse("suppressions=lsan.supp,suppressions=off", ""), defaults);
	assert_same(parse("suppressions=", bad_line("suppressions=", "FILE|off")), defaults);
	assert_same(parse("suppressions", bad_line("suppressions", "FILE|off")), defaults);
	memset(item + strlen(item), 'x', OPTION_PATH_MAX - 1);
	assert_int_equal(strlen(parse(item, "").suppressions), OPTION_PATH_MAX - 1);
}

static void numbers_have_their_bounds(void **state)
{
	(void)state;
	assert_int_equal(parse("leakexit=255", "").leakexit, 255);
	EXPECT_REFUSED("leakexit", "0..255", "256", "-1", "");
	assert_same(parse("leakexit", bad_line("leakexit", "0..255")), defaults);
	assert_int_equal(parse("guardrate=1", "").guardrate, 1);
	assert_int_equal(parse("guardrate=1000000000", "").guardrate, 1000000000);
	EXPECT_REFUSED("guardrate", "0..1000000000", "1000000001", "4294967297", "1k");
	assert_same(parse("guardrate", bad_line("guardrate", "0..1000000000")), defaults);
}

static void every_is_a_time_up_to_a_day(void **state)
{
	(void)state;
	assert_int_equal(parse("every=1", "").every_s, 1);
	assert_int_equal(parse("every=60s", "").every_s, 60);
	assert_int_equal(parse("every=10m", "").every_s, 600);
	assert_int_equal(parse("every=24h", "").every_s, 86400);
	assert_int_equal(parse("every=1440m", "").every_s, 86400);
	assert_same(parse("every=5s,every=off", ""), defaults);
	EXPECT_REFUSED("every", "TIME|off", "", "0", "0s", "86401", "25h", "1441m", "5x", "5ms",
		       "s", "-1s", "1.5h", "18446744073709551617");
}

static void bytes_take_the_units_of_go(void **state)
{
	(void)state;
	assert_int_equal(parse("memprofilerate=0", "").memprofilerate, 0);
	assert_int_equal(parse("memprofilerate=1", "").memprofilerate, 1);
	assert_int_equal(parse("memprofilerate=1000", "").memprofilerate, 1000);
	assert_int_equal(parse("memprofilerate=17B", "").memprofilerate, 17);
	assert_int_equal(parse("memprofilerate=64KiB", "").memprofilerate, 65536);
	assert_int_equal(parse("memprofilerate=3MiB", "").memprofilerate, 3145728);
	assert_int_equal(parse("memprofilerate=1GiB", "").memprofilerate, 1073741824);
	assert_int_equal(parse("memprofilerate=1048576KiB", "").memprofilerate, 1073741824);
	EXPECT_REFUSED("memprofilerate", "BYTES", "", "KiB", "64 KiB",
		       "1.5KiB", "-1", "1073741825", "1025MiB", "2GiB", "1TiB",
		       "18014398509481985KiB", "99999999999999999999");
	/* A unit that is not Go's is told what it may have meant. */
	EXPECT_REFUSED("memprofilerate", "BYTES; did you mean 1KiB?", "1K", "1k", "1KB", "1kib");
	EXPECT_REFUSED("memprofilerate", "BYTES; did you mean 25MiB?", "25M", "25mb", "25Mib");
	EXPECT_REFUSED("memprofilerate", "BYTES", "1Kx", "1KiBs", "K", "1kbb", "1P", "0x1K");
	assert_same(parse("memprofilerate", bad_line("memprofilerate", "BYTES")), defaults);
}

static void memlimit_is_bytes_or_a_share_or_off(void **state)
{
	(void)state;
	assert_int_equal(parse("memlimit=2GiB", "").memlimit, UINT64_C(2) << 30);
	assert_int_equal(parse("memlimit=1", "").memlimit, 1);
	assert_int_equal(parse("memlimit=3TiB", "").memlimit, UINT64_C(3) << 40);
	assert_int_equal(parse("memlimit=9223372036854775807", "").memlimit, INT64_MAX);
	assert_int_equal(parse("memlimit=90%", "").memlimit_percent, 90);
	assert_int_equal(parse("memlimit=100%", "").memlimit_percent, 100);
	assert_same(parse("memlimit=1GiB,memlimit=off", ""), defaults);
	assert_same(parse("memlimit=50%,memlimit=off", ""), defaults);
	/* The later one alone. */
	assert_int_equal(parse("memlimit=1GiB,memlimit=50%", "").memlimit, 0);
	assert_int_equal(parse("memlimit=50%,memlimit=1GiB", "").memlimit_percent, 0);
	EXPECT_REFUSED("memlimit", "BYTES|N%|off", "", "0", "0KiB", "%", "0%", "101%", "-1%", "5%%",
		       "banana", "offf", "9223372036854775808", "8388608TiB",
		       "9007199254740992KiB");
	assert_same(parse("memlimit", bad_line("memlimit", "BYTES|N%|off")), defaults);
}

static void words_are_taken_whole(void **state)
{
	(void)state;
	assert_true(parse("invalidptr=abort", "").invalidptr_abort);
	assert_false(parse("invalidptr=abort,invalidptr=libc", "").invalidptr_abort);
	EXPECT_REFUSED("invalidptr", "libc|abort", "abor", "aborts", "", "1");
	assert_true(parse("sizemismatch=warn", "").sizemismatch_warn);
	assert_false(parse("sizemismatch=warn,sizemismatch=abort", "").sizemismatch_warn);
	EXPECT_REFUSED("sizemismatch", "abort|warn", "war", "warns", "", "1");
	assert_int_equal(parse("realloczero=free", "").realloczero, REALLOC_ZERO_FREE);
	assert_int_equal(parse("realloczero=alloc", "").realloczero, REALLOC_ZERO_ALLOC);
	assert_int_equal(parse("realloczero=abort", "").realloczero, REALLOC_ZERO_ABORT);
	EXPECT_REFUSED("realloczero", "free|alloc|abort", "", "1", "fre", "frees", "ABORT");
	assert_same(parse("realloczero", bad_line("realloczero", "free|alloc|abort")), defaults);
}

static void a_signal_has_a_number_or_a_name(void **state)
{
	char last[32];

	(void)state;
	assert_int_equal(parse("signal=USR1", "").signal, SIGUSR1);
	assert_int_equal(parse("signal=SIGUSR2", "").signal, SIGUSR2);
	assert_int_equal(parse("signal=PROF", "").signal, SIGPROF);
	assert_int_equal(parse("signal=10", "").signal, 10);
	assert_int_equal(parse("signal=64", "").signal, 64);
	assert_same(parse("signal=10,signal=0", ""), defaults);
	assert_same(parse("signal=10,signal=off", ""), defaults);
	/* KILL and STOP; those of faults; the two that are glibc's. */
	EXPECT_REFUSED("signal", "NUMBER|NAME|off", "9", "19", "4", "5", "6", "7", "8", "11", "31",
		       "32", "33", "KILL", "SEGV", "65", "-1", "", "SIG", "USR3",
		       "SIGSIGUSR1", "USR", "RTMIN-1", "RTMIN+", "RTMIN+31", "RTMAX+1", "RTMAX-31",
		       "RTMIN+x", "RTMI", "RTMIN3");
	assert_int_equal(parse("signal=usr1", "").signal, SIGUSR1);
	assert_int_equal(parse("signal=sigUsr2", "").signal, SIGUSR2);
	assert_int_equal(parse("signal=RTMIN", "").signal, SIGRTMIN);
	assert_int_equal(parse("signal=SIGRTMIN+3", "").signal, SIGRTMIN + 3);
	/* glibc keeps two of the kernel's 33 for itself, musl three. */
	(void)snprintf(last, sizeof(last), "signal=rtmin+%d", SIGRTMAX - SIGRTMIN);
	assert_int_equal(parse(last, "").signal, SIGRTMAX);
	assert_int_equal(parse("signal=RTMAX-2", "").signal, SIGRTMAX - 2);
	assert_same(parse("signal=10,signal=OFF", ""), defaults);
	assert_same(parse("signal", bad_line("signal", "NUMBER|NAME|off")), defaults);
}

static void files_are_0_or_1_or_a_name(void **state)
{
	struct options o = parse("stats,profile,leakreport,heapmap", "");

	(void)state;
	assert_string_equal(o.stats, "-");
	assert_string_equal(o.profile, "goalloc.%p.pb.gz");
	assert_string_equal(o.leakreport, "-");
	assert_string_equal(o.heapmap, "goalloc.%p.txt");
	assert_string_equal(parse("profile=1", "").profile, "goalloc.%p.pb.gz");
	assert_string_equal(parse("profile=a,profile=0", "").profile, "");
	assert_string_equal(parse("profile=/a b/%p=x", "").profile, "/a b/%p=x");
	EXPECT_REFUSED("profile", "0|1|FILE", "");
	EXPECT_REFUSED("stats", "0|1|FILE", "");
}

static void a_file_name_that_is_too_long_is_refused_whole(void **state)
{
	static char item[OPTION_PATH_MAX + 100], line[OPTION_PATH_MAX + 200];
	struct options o;

	(void)state;
	memcpy(item, "profile=", 8);
	memset(item + 8, 'x', OPTION_PATH_MAX - 1);
	o = parse(item, "");
	assert_string_equal(o.profile, item + 8);
	item[8 + OPTION_PATH_MAX - 1] = 'x';
	snprintf(line, sizeof(line),
		 "goalloc: GOALLOC: file name too long in '%.200s...', ignored\n", item);
	assert_same(parse(item, line), defaults);
}

/* --- keys --- */

static void an_unknown_key_is_one_line_and_changes_nothing(void **state)
{
	static const char *const items[] = { "frobnicate=1", "nonsense", "=1",    "=",
					     "=off",         "foo",      "bad=1", "no=2" };

	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		char line[128];

		snprintf(line, sizeof(line), "goalloc: GOALLOC: unknown option in '%s', ignored\n",
			 items[i]);
		assert_same(parse(items[i], line), defaults);
	}
}

static void a_slip_is_told_the_name_that_was_meant(void **state)
{
	static const char *const pairs[][2] = {
		/* A letter too few, too many, another, two swapped; capitals; a blank; the
		 * beginning of a name. */
		{ "of=1", "off" },
		{ "offf", "off" },
		{ "ofr", "off" },
		{ "tph=0", "thp" },
		{ "TPH=0", "thp" },
		{ "OFF=1", "off" },
		{ " off=1", "off" },
		{ "stat=1", "stats" },
		{ "profiel=x", "profile" },
		{ "memprofilrate=1", "memprofilerate" },
		{ "leak-exit=1", "leakexit" },
		{ "scavage=1", "scavenge" },
		{ "guard_rate=1", "guardrate" },
		{ "leak=1", "leakcheck" },
		{ "heap", "heapmap" },
		{ "memprofile=1", "memprofilerate" },
		{ "mem_limit=1GiB", "memlimit" },
		{ "hardend", "hardened" },
		{ "leakchek", "leakcheck" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char line[128];

		snprintf(line, sizeof(line),
			 "goalloc: GOALLOC: unknown option in '%s', ignored; did you mean %s?\n",
			 pairs[i][0], pairs[i][1]);
		assert_same(parse(pairs[i][0], line), defaults);
	}
}

static void the_value_goes_up_to_the_comma_and_may_hold_an_equals_sign(void **state)
{
	(void)state;
	assert_same(parse("off=1=1", bad_line("off=1=1", "0|1")), defaults);
}

static void empty_items_are_nothing(void **state)
{
	(void)state;
	assert_same(parse("", ""), defaults);
	assert_same(parse(",", ""), defaults);
	assert_same(parse(",,,", ""), defaults);
	assert_true(parse(",off=1,", "").off);
}

static void a_bad_item_does_not_hide_the_good_ones_around_it(void **state)
{
	struct options o =
		parse("thp=1,bad=1,scavenge=x,off=1,loose,leakexit=2",
		      "goalloc: GOALLOC: unknown option in 'bad=1', ignored\n"
		      "goalloc: GOALLOC: bad value in 'scavenge=x', ignored; it takes 0..86400000\n"
		      "goalloc: GOALLOC: unknown option in 'loose', ignored\n");

	(void)state;
	assert_true(o.thp);
	assert_true(o.off);
	assert_int_equal(o.leakexit, 2);
	assert_int_equal(o.scavenge_ms, defaults.scavenge_ms);
}

static void the_last_setting_of_a_key_holds(void **state)
{
	(void)state;
	assert_int_equal(scavenge_of("scavenge=5,scavenge=6,scavenge=7"), 7);
}

static void an_item_longer_than_a_line_is_still_one_line(void **state)
{
	static char text[5000];
	char line[400];

	(void)state;
	memset(text, 'k', sizeof(text) - 1);
	snprintf(line, sizeof(line), "goalloc: GOALLOC: unknown option in '%.200s...', ignored\n",
		 text);
	assert_same(parse(text, line), defaults);
}

static void what_a_terminal_would_obey_is_not_printed(void **state)
{
	(void)state;
	assert_same(parse("a\nb\033c\177d=1",
			  "goalloc: GOALLOC: unknown option in 'a?b?c?d=1', ignored\n"),
		    defaults);
}

static void call_print(void *arg)
{
	(void)arg;
	options_print(2);
}

static void the_table_has_a_line_for_each_option_with_its_true_default(void **state)
{
	char text[8192];
	struct options printed = { .stats_fd = -1, .report_fd = -1 };
	size_t lines = 0;

	(void)state;
	capture_stderr(call_print, NULL, text, sizeof(text));
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
		assert_in_range(strcspn(line, "\n"), 1, 80);
	/* A long line goes on below. */
	for (char *more = text; (more = strstr(more, "\n                    ")) != NULL; more++)
		*more = ' ';
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char name[32], values[32], item[128];
		const char *initial = strrchr(line, '[');

		assert_int_equal(sscanf(line, " %31s %31s", name, values), 2);
		assert_non_null(initial);
		snprintf(item, sizeof(item), "%s=%.*s", name, (int)strcspn(initial + 1, "]"),
			 initial + 1);
		options_parse(&printed, "GOALLOC", item);
		lines++;
	}
	assert_same(printed, defaults);
	assert_in_range(lines, 20, 40);
}

/* --- the environment; options_init() works once in a process --- */

struct environment {
	const char *goalloc, *stats, *profile, *memlimit, *conf;
	bool secure;
	void (*then)(void);
};

static const struct environment *env_now;

static void in_environment_body(void)
{
	if (env_now->goalloc != NULL)
		setenv("GOALLOC", env_now->goalloc, 1);
	if (env_now->stats != NULL)
		setenv("GOALLOC_STATS", env_now->stats, 1);
	if (env_now->profile != NULL)
		setenv("GOALLOC_PROFILE", env_now->profile, 1);
	if (env_now->memlimit != NULL)
		setenv("GOALLOC_MEMLIMIT", env_now->memlimit, 1);
	goalloc_conf = env_now->conf;
	secure = env_now->secure;
	options_init();
	env_now->then();
}

static void in_environment(const struct environment *e, const char *lines)
{
	char written[4096];
	int status;

	env_now = e;
	status = child_status(in_environment_body, written, sizeof(written));
	assert_string_equal(written, lines);
	assert_int_equal(status, 0);
}

static void expect_off(void)
{
	CHECK(options.off && options.scavenge_ms == 7);
}

static void goalloc_in_the_environment_is_read(void **state)
{
	const struct environment e = { .goalloc = "off=1,scavenge=7", .then = expect_off };

	(void)state;
	in_environment(&e, "");
}

static void expect_defaults(void)
{
	CHECK(!options.off && options.thp == defaults.thp &&
	      options.scavenge_ms == defaults.scavenge_ms && options.stats_fd == -1 &&
	      options.stats[0] == '\0' && options.profile[0] == '\0' &&
	      options.memlimit == 0 && options.memlimit_percent == 0);
}

static void under_at_secure_the_environment_is_not_read(void **state)
{
	const struct environment e = { .goalloc = "off=1,nonsense",
				       .stats = "1",
				       .profile = "/tmp/x",
				       .memlimit = "banana",
				       .secure = true,
				       .then = expect_defaults };

	(void)state;
	in_environment(&e, "");
}

static void expect_stats_without_a_file(void)
{
	CHECK(options.scavenge_ms == 5 && options.stats_fd > 2 && options.profile[0] == '\0' &&
	      options.heapmap[0] == '\0');
}

static void under_at_secure_the_programs_own_defaults_count_but_name_no_file(void **state)
{
	const struct environment e = { .conf = "scavenge=5,stats,profile=/tmp/x,heapmap=y",
				       .secure = true,
				       .then = expect_stats_without_a_file };

	(void)state;
	in_environment(&e,
		       "goalloc: profile: cannot write to '/tmp/x': no files in setuid programs\n"
		       "goalloc: heapmap: cannot write to 'y': no files in setuid programs\n");
}

static void the_programs_own_defaults_come_before_the_environment(void **state)
{
	const struct environment e = { .conf = "off=1,scavenge=5", .goalloc = "scavenge=7",
				       .then = expect_off };

	(void)state;
	in_environment(&e, "");
}

static void warnings_name_where_the_text_came_from(void **state)
{
	const struct environment e = { .conf = "a=1", .goalloc = "b=1", .then = expect_defaults };

	(void)state;
	in_environment(&e, "goalloc: goalloc_conf: unknown option in 'a=1', ignored\n"
			   "goalloc: GOALLOC: unknown option in 'b=1', ignored\n");
}

static void expect_second_init_does_nothing(void)
{
	expect_off();
	setenv("GOALLOC", "off=0,nonsense", 1);
	options_init();
	expect_off();
}

static void the_environment_is_read_once(void **state)
{
	const struct environment e = { .goalloc = "off=1,scavenge=7",
				       .then = expect_second_init_does_nothing };

	(void)state;
	in_environment(&e, "");
}

static void expect_ready_when_environ_is(void)
{
	/* in_environment_body() has called it: once is done. */
	CHECK(!options.off);
}

static void init_without_environ_body(void)
{
	char **saved = environ;
	static char setting[] = "GOALLOC=off=1";
	static char *later[] = { setting, NULL };

	environ = NULL;
	options_init();
	CHECK(!options.off);
	environ = later;
	options_init();
	CHECK(options.off);
	environ = saved;
}

static void before_libc_set_environ_nothing_is_read_and_later_it_is(void **state)
{
	const struct environment e = { .then = expect_ready_when_environ_is };

	(void)state;
	in_environment(&e, "");
	run_in_child(init_without_environ_body);
}

static void expect_stats_on_a_copy_of_stderr(void)
{
	CHECK(options.stats[0] != 0 && options.stats_fd > 2);
	close(2);
	CHECK(write(options.stats_fd, "still there\n", 12) == 12);
	CHECK((fcntl(options.stats_fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void stats_survive_a_program_that_closes_stderr(void **state)
{
	struct environment e = { .stats = "1", .then = expect_stats_on_a_copy_of_stderr };

	(void)state;
	in_environment(&e, "still there\n");
	e.stats = NULL;
	e.goalloc = "stats=1";
	in_environment(&e, "still there\n");
}

static void stats_of_0_or_nothing_are_off(void **state)
{
	struct environment e = { .stats = "0", .then = expect_defaults };

	(void)state;
	in_environment(&e, "");
	e.stats = "";
	in_environment(&e, "");
}

static void expect_the_variables(void)
{
	CHECK(options.memlimit == GiB(2) && options.stats_fd > 2 &&
	      options.stats_fd == options.report_fd);
	CHECK(strcmp(options.profile, "/tmp/test-profile") == 0);
}

static void the_variables_of_the_go_names_are_options_and_come_last(void **state)
{
	const struct environment e = { .goalloc = "memlimit=1GiB,stats=0,profile=0",
				       .stats = "1",
				       .profile = "/tmp/test-profile",
				       .memlimit = "2GiB",
				       .then = expect_the_variables };

	(void)state;
	in_environment(&e, "");
}

static void a_bad_variable_is_one_line(void **state)
{
	static char path[OPTION_PATH_MAX + 10], lines[1024];
	const struct environment e = { .profile = path,
				       .memlimit = "2gb",
				       .then = expect_defaults };

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	snprintf(lines, sizeof(lines),
		 "goalloc: GOALLOC_PROFILE: file name too long in '%.200s...', ignored\n"
		 "goalloc: GOALLOC_MEMLIMIT: bad value in '2gb', ignored; it takes BYTES|N%%|off; "
		 "did you mean 2GiB?\n",
		 path);
	in_environment(&e, lines);
}

static void empty_variables_are_nothing(void **state)
{
	const struct environment e = {
		.goalloc = "", .stats = "", .profile = "", .memlimit = "", .then = expect_defaults
	};

	(void)state;
	in_environment(&e, "");
}

/* --- files --- */

static char directory[] = "/tmp/goalloc-test-XXXXXX";

static void expect_absolute_names(void)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "%s/p.%%p", directory);
	CHECK(strcmp(options.profile, expected) == 0);
	snprintf(expected, sizeof(expected), "%s/../%s/map", directory, directory + 5);
	CHECK(strcmp(options.heapmap, expected) == 0);
	CHECK(strcmp(options.leakreport, "-") == 0);
}

static void relative_names_are_made_absolute(void **state)
{
	char setting[256], there[1024];
	const struct environment e = { .goalloc = setting, .then = expect_absolute_names };

	(void)state;
	assert_non_null(getcwd(there, sizeof(there)));
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	snprintf(setting, sizeof(setting), "profile=p.%%p,heapmap=../%s/map,leakcheck",
		 directory + 5);
	in_environment(&e, "");
	assert_int_equal(chdir(there), 0);
	/* Nothing was made there. */
	assert_int_equal(rmdir(directory), 0);
}

static void a_relative_name_that_becomes_too_long_is_one_line(void **state)
{
	static char setting[OPTION_PATH_MAX + 10], line[1024];
	const struct environment e = { .goalloc = setting, .then = expect_defaults };

	(void)state;
	memcpy(setting, "profile=", 8);
	memset(setting + 8, 'y', OPTION_PATH_MAX - 2);
	snprintf(line, sizeof(line),
		 "goalloc: profile: cannot write to '%.200s...': file name too long\n",
		 setting + 8);
	in_environment(&e, line);
}

static void expect_the_longest_name(void)
{
	CHECK(strlen(options.profile) == OPTION_PATH_MAX - 1 &&
	      strncmp(options.profile, "/tmp/./", 7) == 0);
}

static void a_relative_name_may_become_as_long_as_fits(void **state)
{
	static char setting[OPTION_PATH_MAX + 10] = "profile=";
	struct environment e = { .goalloc = setting, .then = expect_the_longest_name };
	char there[1024], line[1024];

	(void)state;
	assert_non_null(getcwd(there, sizeof(there)));
	assert_int_equal(chdir("/tmp"), 0);
	/* "/tmp/", as often "./" as fits, and a letter or two. */
	while (strlen(setting) - 8 < OPTION_PATH_MAX - 1 - 5 - 2)
		strcat(setting, "./");
	strcat(setting, (OPTION_PATH_MAX - 1 - 5) % 2 == 0 ? "xy" : "x");
	assert_int_equal(strlen(setting) - 8, OPTION_PATH_MAX - 1 - 5);
	in_environment(&e, "");
	strcat(setting, "z");
	e.then = expect_defaults;
	snprintf(line, sizeof(line),
		 "goalloc: profile: cannot write to '%.200s...': file name too long\n",
		 setting + 8);
	in_environment(&e, line);
	assert_int_equal(chdir(there), 0);
}

static void what_cannot_be_written_to_is_one_line_each_and_off(void **state)
{
	const struct environment e = {
		.goalloc = "profile=/nonexistent/p,heapmap=/,leakreport=/dev/null/x",
		.stats = "/proc/nonexistent",
		.then = expect_defaults
	};
	char written[4096];

	(void)state;
	env_now = &e;
	assert_int_equal(child_status(in_environment_body, written, sizeof(written)), 0);
	assert_int_equal(count_lines(written), 4);
	assert_non_null(
		strstr(written,
		       "goalloc: profile: cannot write to '/nonexistent/p': no such directory\n"));
	assert_non_null(
		strstr(written, "goalloc: heapmap: cannot write to '/': it is a directory\n"));
	assert_non_null(
		strstr(written,
		       "goalloc: leakreport: cannot write to '/dev/null/x': no such directory\n"));
	assert_non_null(strstr(written, "goalloc: stats: cannot write to '/proc/nonexistent': "));
}

static char stats_dir[] = "/tmp/goalloc-test-XXXXXX";

static void expect_stats_in_the_file_of_this_pid(void)
{
	char path[128];

	CHECK(options.stats[0] != 0 && options.stats_fd > 2);
	CHECK(write(options.stats_fd, "x", 1) == 1);
	snprintf(path, sizeof(path), "%s/s.%d.txt", stats_dir, (int)getpid());
	CHECK(access(path, R_OK) == 0);
	CHECK(unlink(path) == 0);
}

static void a_stats_file_name_may_hold_the_pid(void **state)
{
	char name[128];
	struct environment e = { .stats = name, .then = expect_stats_in_the_file_of_this_pid };

	(void)state;
	assert_non_null(mkdtemp(stats_dir));
	snprintf(name, sizeof(name), "%s/s.%%p.txt", stats_dir);
	in_environment(&e, "");
	assert_int_equal(rmdir(stats_dir), 0);
}

static void a_stats_file_that_cannot_be_opened_warns_and_turns_stats_off(void **state)
{
	const struct environment e = { .stats = "/nonexistent/x", .then = expect_defaults };

	(void)state;
	in_environment(&e, "goalloc: stats: cannot write to '/nonexistent/x': no such directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_take_0_and_1_and_stand_alone),
		cmocka_unit_test(a_flag_that_is_neither_0_nor_1_is_refused),
		cmocka_unit_test(scavthread_is_on_off_or_left_to_the_limit),
		cmocka_unit_test(hardened_has_two_levels),
		cmocka_unit_test(leakcheck_has_two_levels),
		cmocka_unit_test(scavenge_is_a_number_of_ms_up_to_a_day),
		cmocka_unit_test(suppressions_are_a_file_or_off),
		cmocka_unit_test(numbers_have_their_bounds),
		cmocka_unit_test(every_is_a_time_up_to_a_day),
		cmocka_unit_test(bytes_take_the_units_of_go),
		cmocka_unit_test(memlimit_is_bytes_or_a_share_or_off),
		cmocka_unit_test(words_are_taken_whole),
		cmocka_unit_test(a_signal_has_a_number_or_a_name),
		cmocka_unit_test(files_are_0_or_1_or_a_name),
		cmocka_unit_test(a_file_name_that_is_too_long_is_refused_whole),
		cmocka_unit_test(an_unknown_key_is_one_line_and_changes_nothing),
		cmocka_unit_test(a_slip_is_told_the_name_that_was_meant),
		cmocka_unit_test(the_value_goes_up_to_the_comma_and_may_hold_an_equals_sign),
		cmocka_unit_test(empty_items_are_nothing),
		cmocka_unit_test(a_bad_item_does_not_hide_the_good_ones_around_it),
		cmocka_unit_test(the_last_setting_of_a_key_holds),
		cmocka_unit_test(an_item_longer_than_a_line_is_still_one_line),
		cmocka_unit_test(what_a_terminal_would_obey_is_not_printed),
		cmocka_unit_test(the_table_has_a_line_for_each_option_with_its_true_default),
		cmocka_unit_test(goalloc_in_the_environment_is_read),
		cmocka_unit_test(under_at_secure_the_environment_is_not_read),
		cmocka_unit_test(under_at_secure_the_programs_own_defaults_count_but_name_no_file),
		cmocka_unit_test(the_programs_own_defaults_come_before_the_environment),
		cmocka_unit_test(warnings_name_where_the_text_came_from),
		cmocka_unit_test(the_environment_is_read_once),
		cmocka_unit_test(before_libc_set_environ_nothing_is_read_and_later_it_is),
		cmocka_unit_test(stats_survive_a_program_that_closes_stderr),
		cmocka_unit_test(stats_of_0_or_nothing_are_off),
		cmocka_unit_test(the_variables_of_the_go_names_are_options_and_come_last),
		cmocka_unit_test(a_bad_variable_is_one_line),
		cmocka_unit_test(empty_variables_are_nothing),
		cmocka_unit_test(relative_names_are_made_absolute),
		cmocka_unit_test(a_relative_name_that_becomes_too_long_is_one_line),
		cmocka_unit_test(a_relative_name_may_become_as_long_as_fits),
		cmocka_unit_test(what_cannot_be_written_to_is_one_line_each_and_off),
		cmocka_unit_test(a_stats_file_name_may_hold_the_pid),
		cmocka_unit_test(a_stats_file_that_cannot_be_opened_warns_and_turns_stats_off),
	};

	defaults = options;
	unsetenv("GOALLOC");
	unsetenv("GOALLOC_STATS");
	unsetenv("GOALLOC_MEMLIMIT");
	unsetenv("GOALLOC_PROFILE");
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
