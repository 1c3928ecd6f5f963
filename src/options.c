/* SPDX-License-Identifier: MIT */
/*
 * options.c - the environment, read once into one struct.
 * See malloc.c for the overview.
 *
 * Owns     options, and the descriptor that statistics go to.
 * Callers  thread.c at start-up; every layer reads the struct. Calls fatal.h and os.h.
 * Locks    none; start-up is serialised by thread.c.
 * Holds    under AT_SECURE nothing is read: another user's environment must not steer us.
 */
#include "options.h"
#include "config.h"
#include "fatal.h"
#include "os.h"

extern char **environ;

/* The program's own defaults: const char *goalloc_conf = "scavenge=100"; */
extern const char *goalloc_conf WEAK;

struct options options = {
	.scavenge_ms = 1000,
	.thp = true,
	.tiny_align = 8,
	.stats_fd = -1,
};

#define SCAVENGE_MAX_MS (24 * 3600 * 1000)

static bool options_done;

/* Variables of the Go names that a later version will read. */
static const char *const not_yet[] = { "GOALLOC_MEMLIMIT", "GOALLOC_PROFILE" };

/* A piece of a settings string. */
struct piece {
	const char *text;
	size_t len;
};

static bool piece_is(struct piece p, const char *word)
{
	size_t n = 0;

	while (n < p.len && word[n] != '\0' && p.text[n] == word[n])
		n++;
	return n == p.len && word[n] == '\0';
}

/* Takes the text up to the first stop character off *rest; the stop character goes with it. */
static struct piece piece_cut(const char **rest, char stop)
{
	struct piece p = { *rest, 0 };

	while (**rest != '\0' && **rest != stop) {
		(*rest)++;
		p.len++;
	}
	if (**rest == stop)
		(*rest)++;
	return p;
}

static bool piece_number(struct piece p, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (p.len == 0 || p.len > 10)
		return false;
	for (size_t i = 0; i < p.len; i++) {
		if (p.text[i] < '0' || p.text[i] > '9')
			return false;
		n = n * 10 + (unsigned)(p.text[i] - '0');
	}
	if (n > max)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool piece_flag(struct piece p, bool *out)
{
	if (p.text != NULL && !piece_is(p, "0") && !piece_is(p, "1"))
		return false;
	*out = p.text == NULL || p.text[0] == '1';
	return true;
}

static bool piece_hardened(struct piece p, struct options *o)
{
	uint32_t level = 1;

	if (p.text != NULL && !piece_number(p, 2, &level))
		return false;
	o->hardened = level >= 1;
	o->keyed = level == 2;
	return true;
}

static bool set_tiny_align(struct options *o, struct piece value)
{
	uint32_t n;

	if (!piece_number(value, 8, &n) || !is_pow2(n))
		return false;
	o->tiny_align = n;
	return true;
}

static bool set_invalidptr(struct options *o, struct piece value)
{
	if (!piece_is(value, "abort") && !piece_is(value, "libc"))
		return false;
	o->invalidptr_abort = piece_is(value, "abort");
	return true;
}

enum outcome { SET, UNKNOWN_KEY, BAD_VALUE };

static enum outcome option_set(struct options *o, struct piece key, struct piece value)
{
	bool ok;

	if (piece_is(key, "off"))
		ok = piece_flag(value, &o->off);
	else if (piece_is(key, "thp"))
		ok = piece_flag(value, &o->thp);
	else if (piece_is(key, "stats"))
		ok = piece_flag(value, &o->stats);
	else if (piece_is(key, "scavthread"))
		ok = piece_flag(value, &o->scavthread);
	else if (piece_is(key, "clobberfree"))
		ok = piece_flag(value, &o->clobberfree);
	else if (piece_is(key, "hardened"))
		ok = piece_hardened(value, o);
	else if (piece_is(key, "scavenge"))
		ok = piece_number(value, SCAVENGE_MAX_MS, &o->scavenge_ms);
	else if (piece_is(key, "tiny_align"))
		ok = set_tiny_align(o, value);
	else if (piece_is(key, "invalidptr"))
		ok = set_invalidptr(o, value);
	else
		return UNKNOWN_KEY;
	return ok ? SET : BAD_VALUE;
}

static void warn(const char *name, const char *what, struct piece item)
{
	struct report r;

	report_init(&r);
	report_str(&r, name);
	report_str(&r, ": ");
	report_str(&r, what);
	report_str(&r, " in '");
	report_chars(&r, item.text, item.len);
	report_str(&r, "', ignored");
	report_write(&r, 2);
}

void options_parse(struct options *o, const char *name, const char *text)
{
	while (*text != '\0') {
		struct piece item = piece_cut(&text, ',');
		const char *rest = item.text;
		struct piece key = { rest, 0 };
		struct piece value;

		if (item.len == 0)
			continue;
		while (key.len < item.len && rest[key.len] != '=')
			key.len++;
		/* A flag may stand alone: "off" is "off=1". No other value is NULL. */
		value.text = key.len < item.len ? rest + key.len + 1 : NULL;
		value.len = key.len < item.len ? item.len - key.len - 1 : 0;
		switch (option_set(o, key, value)) {
		case SET:
			break;
		case UNKNOWN_KEY:
			warn(name, "unknown option", item);
			break;
		case BAD_VALUE:
			warn(name, "bad value", item);
			break;
		}
	}
}

/* The value of an environment variable, NULL when it is not set. getenv() may be hooked. */
static const char *env(const char *name)
{
	for (char **e = environ; *e != NULL; e++) {
		const char *s = *e;
		const char *n = name;

		while (*n != '\0' && *s == *n) {
			s++;
			n++;
		}
		if (*n == '\0' && *s == '=')
			return s + 1;
	}
	return NULL;
}

/* A variable's whole value, or as much as a line holds. */
static struct piece whole(const char *text)
{
	struct piece p = { text, 0 };

	while (text[p.len] != '\0' && p.len < 200)
		p.len++;
	return p;
}

/* The file name with %p replaced by the pid, opened for appending; -1. */
static int open_stats_file(const char *name)
{
	struct report path;
	int fd;

	path.len = 0;
	for (const char *s = name; *s != '\0'; s++) {
		if (s[0] == '%' && s[1] == 'p') {
			report_dec(&path, (uint64_t)os_pid());
			s++;
		} else {
			report_chars(&path, s, 1);
		}
	}
	path.text[path.len] = '\0';
	fd = os_open_append(path.text);
	if (fd < 0) {
		warn("GOALLOC_STATS", "cannot open the file", whole(name));
	}
	return fd;
}

/* The descriptor is taken now: programs close stderr before our exit handler runs. */
static void open_stats(struct options *o, const char *where)
{
	if (where != NULL && where[0] != '\0' && !(where[0] == '0' && where[1] == '\0')) {
		o->stats = true;
		if (!(where[0] == '1' && where[1] == '\0')) {
			o->stats_fd = open_stats_file(where);
			o->stats = o->stats_fd >= 0;
			return;
		}
	}
	if (o->stats) {
		o->stats_fd = os_dup_cloexec(2);
		o->stats = o->stats_fd >= 0;
	}
}

void options_init(void)
{
	const char *text;

	if (options_done || environ == NULL)
		return;
	options_done = true;
	if (&goalloc_conf != NULL && goalloc_conf != NULL)
		options_parse(&options, "goalloc_conf", goalloc_conf);
	if (os_is_secure())
		return;
	text = env("GOALLOC");
	if (text != NULL)
		options_parse(&options, "GOALLOC", text);
	open_stats(&options, env("GOALLOC_STATS"));
	for (size_t i = 0; i < sizeof(not_yet) / sizeof(not_yet[0]); i++) {
		text = env(not_yet[i]);
		if (text != NULL)
			warn(not_yet[i], "not supported by this version", whole(text));
	}
}
