/* SPDX-License-Identifier: MIT */
/*
 * options.c - reads the options from the environment, once, into one struct.
 *
 * Owns `options`, the table of all options, and the descriptors that statistics and reports go to.
 * It needs no lock, because it runs while the process has one thread.
 *
 * Under AT_SECURE the environment is not read and no file is named: another user must neither
 * choose the program's behaviour nor where it writes. A file name in `options` is absolute, and the
 * file could be written to when the program began.
 */
#include "base/options.h"
#include "base/config.h"
#include "base/spelling.h"
#include "base/text.h"
#include "os/fatal.h"
#include "os/os.h"
#include "os/out.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>

extern char **environ;

/* The program's own defaults, such as: const char *goalloc_conf = "scavenge=100"; */
extern const char *goalloc_conf WEAK;

#define FLAG(name, initial, help) .name = initial,
#define LEVEL(name, most, values, initial, help) .name = initial,
#define NUMBER(name, field, least, most, initial, help) .field = initial,
#define BYTES(name, most, unit, initial, help) .name = unit(initial),
#define FILE_NAME(name, append, fallback, help) .name = "",
#define OTHER(name, values, initial, help)

struct options options = {
#include "options_table.inc"
	.stats_fd = -1,
	.report_fd = -1,
};

#undef FLAG
#undef LEVEL
#undef NUMBER
#undef BYTES
#undef FILE_NAME
#undef OTHER

static bool options_done;

/* A piece of a settings string. text is NULL only for the value of a key that stands alone. */
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

/* Returns whether the piece begins with the word, in capitals or not. */
static bool piece_begins(struct piece p, const char *word)
{
	size_t n = 0;

	while (n < p.len && word[n] != '\0' && spelling_lower(p.text[n]) == spelling_lower(word[n]))
		n++;
	return word[n] == '\0';
}

/* Returns the text up to the first stop character, and sets *rest to the text behind that. */
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

/* Reads a decimal number without a sign. Returns false if it is none or out of its bounds. */
static bool piece_number(struct piece p, uint64_t least, uint64_t most, uint64_t *out)
{
	uint64_t n = 0;

	/* A number of 19 digits does not overflow. */
	if (p.len == 0 || p.len > 19)
		return false;
	for (size_t i = 0; i < p.len; i++) {
		if (p.text[i] < '0' || p.text[i] > '9')
			return false;
		n = n * 10 + (unsigned)(p.text[i] - '0');
	}
	*out = n;
	return n >= least && n <= most;
}

/* Reads a number of bytes with one of Go's units B, KiB, MiB, GiB and TiB, or without. */
static bool piece_bytes(struct piece p, uint64_t most, uint64_t *out)
{
	static const char *const units[] = { "", "B", "KiB", "MiB", "GiB", "TiB" };
	static const unsigned shifts[] = { 0, 0, 10, 20, 30, 40 };
	struct piece digits = { p.text, 0 }, unit;
	uint64_t n;

	while (digits.len < p.len && p.text[digits.len] >= '0' && p.text[digits.len] <= '9')
		digits.len++;
	unit = (struct piece){ p.text + digits.len, p.len - digits.len };
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!piece_is(unit, units[i]) || !piece_number(digits, 0, most >> shifts[i], &n))
			continue;
		*out = n << shifts[i];
		return true;
	}
	return false;
}

/* --- values of options; each function returns false if the value is not valid --- */

static bool set_hardened(struct options *o, struct piece value)
{
	uint64_t level = 1;

	if (value.text != NULL && !piece_number(value, 0, 2, &level))
		return false;
	o->hardened = level >= 1;
	o->keyed = level == 2;
	return true;
}

static bool set_text(char *text, size_t room, struct piece value)
{
	if (value.len == 0 || value.len >= room)
		return false;
	copy_bytes(text, value.text, value.len);
	text[value.len] = '\0';
	return true;
}

static bool set_only(struct options *o, struct piece value)
{
	return set_text(o->only, sizeof(o->only), value);
}

static bool set_suppressions(struct options *o, struct piece value)
{
	if (!piece_is(value, "off"))
		return set_text(o->suppressions, sizeof(o->suppressions), value);
	o->suppressions[0] = '\0';
	return true;
}

static bool set_invalidptr(struct options *o, struct piece value)
{
	if (!piece_is(value, "abort") && !piece_is(value, "libc"))
		return false;
	o->invalidptr_abort = piece_is(value, "abort");
	return true;
}

static bool set_sizemismatch(struct options *o, struct piece value)
{
	if (!piece_is(value, "abort") && !piece_is(value, "warn"))
		return false;
	o->sizemismatch_warn = piece_is(value, "warn");
	return true;
}

static bool set_scavthread(struct options *o, struct piece value)
{
	if (value.text == NULL || piece_is(value, "1"))
		o->scavthread = SCAVTHREAD_ON;
	else if (piece_is(value, "0"))
		o->scavthread = SCAVTHREAD_OFF;
	else if (piece_is(value, "auto"))
		o->scavthread = SCAVTHREAD_AUTO;
	else
		return false;
	return true;
}

static bool set_realloczero(struct options *o, struct piece value)
{
	static const char *const names[] = { "free", "alloc", "abort" };

	for (uint8_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!piece_is(value, names[i]))
			continue;
		o->realloczero = i;
		return true;
	}
	return false;
}

/* Refuses a limit of 0 bytes, which could not be kept. The word for no limit is "off". */
static bool set_memlimit(struct options *o, struct piece value)
{
	uint64_t bytes = 0, percent = 0;

	if (value.len == 0)
		return false;
	if (value.text[value.len - 1] == '%') {
		value.len--;
		if (!piece_number(value, 1, 100, &percent))
			return false;
	} else if (!piece_is(value, "off") &&
		   (!piece_bytes(value, PTRDIFF_MAX, &bytes) || bytes == 0)) {
		return false;
	}
	o->memlimit = bytes;
	o->memlimit_percent = (uint32_t)percent;
	return true;
}

/* Returns whether a handler that only asks for a writing can serve the signal. It cannot serve
 * signals that cannot be caught, signals that a fault raises again and again, and the two below
 * SIGRTMIN that glibc keeps for itself. */
static bool is_usable_signal(uint64_t n)
{
	return n != SIGKILL && n != SIGSTOP && n != SIGILL && n != SIGTRAP && n != SIGABRT &&
	       n != SIGBUS && n != SIGFPE && n != SIGSEGV && n != SIGSYS && n != 32 && n != 33;
}

/* Reads "RTMIN+3" and "RTMAX-1", and the two names alone. */
static bool piece_realtime(struct piece p, uint64_t *n)
{
	bool from_top = piece_begins(p, "RTMAX");
	struct piece rest = { p.text + 5, p.len - 5 };
	uint64_t distance = 0;

	if (!from_top && !piece_begins(p, "RTMIN"))
		return false;
	if (rest.len != 0) {
		if (rest.text[0] != (from_top ? '-' : '+'))
			return false;
		rest = (struct piece){ rest.text + 1, rest.len - 1 };
		if (!piece_number(rest, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &distance))
			return false;
	}
	*n = from_top ? (uint64_t)SIGRTMAX - distance : (uint64_t)SIGRTMIN + distance;
	return true;
}

/* Takes the number of a signal, or its name with or without SIG, in capitals or not. */
static bool set_every(struct options *o, struct piece value)
{
	static const char *const units[] = { "", "s", "m", "h" };
	static const uint32_t seconds[] = { 1, 1, 60, 3600 };
	struct piece digits = { value.text, 0 }, unit;
	uint64_t n;

	o->every_s = 0;
	if (piece_is(value, "off"))
		return true;
	while (digits.len < value.len && value.text[digits.len] >= '0' &&
	       value.text[digits.len] <= '9')
		digits.len++;
	unit = (struct piece){ value.text + digits.len, value.len - digits.len };
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!piece_is(unit, units[i]) || !piece_number(digits, 1, 86400 / seconds[i], &n))
			continue;
		o->every_s = (uint32_t)n * seconds[i];
		return true;
	}
	return false;
}

static bool set_signal(struct options *o, struct piece value)
{
	static const struct {
		const char *name;
		uint32_t number;
	} names[] = {
		{ "OFF", 0 }, { "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT },
		{ "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "PIPE", SIGPIPE },
		{ "ALRM", SIGALRM }, { "TERM", SIGTERM }, { "CHLD", SIGCHLD },
		{ "CONT", SIGCONT }, { "TSTP", SIGTSTP }, { "TTIN", SIGTTIN },
		{ "TTOU", SIGTTOU }, { "URG", SIGURG }, { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
		{ "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH },
		{ "IO", SIGIO }, { "PWR", SIGPWR },
	};
	uint64_t n;

	if (piece_number(value, 0, 64, &n) && is_usable_signal(n)) {
		o->signal = (uint32_t)n;
		return true;
	}
	if (value.len > 3 && piece_begins(value, "SIG"))
		value = (struct piece){ value.text + 3, value.len - 3 };
	if (piece_realtime(value, &n)) {
		o->signal = (uint32_t)n;
		return true;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!piece_begins(value, names[i].name) ||
		    value.len != string_length(names[i].name))
			continue;
		o->signal = names[i].number;
		return true;
	}
	return false;
}

/* --- the table --- */

enum option_type {
	OPTION_FLAG,
	OPTION_LEVEL,
	OPTION_NUMBER,
	OPTION_BYTES,
	OPTION_FILE,
	OPTION_OTHER
};

/* One option, as options_table.inc describes the types. */
struct option {
	const char *name;
	enum option_type type;
	bool append;          /* FILE: to what the file has */
	size_t field;         /* offset in struct options */
	uint64_t least, most; /* LEVEL, NUMBER, BYTES */
	const char *fallback; /* FILE: the name that the value 1 stands for */
	bool (*set)(struct options *o, struct piece value); /* OTHER */
	const char *values, *initial, *help;
};

#define OPTION(name_, type_, values_, initial_, help_, ...) \
	{ .name = #name_, .type = type_, .values = values_, .initial = initial_, .help = help_, \
	  __VA_ARGS__ },
#define AT(f) .field = offsetof(struct options, f)
#define FLAG(name, initial, help) OPTION(name, OPTION_FLAG, "0|1", #initial, help, AT(name))
#define LEVEL(name, most_, values, initial, help) \
	OPTION(name, OPTION_LEVEL, values, #initial, help, AT(name), .most = most_)
#define NUMBER(name, field_, least_, most_, initial, help) \
	OPTION(name, OPTION_NUMBER, #least_ ".." #most_, #initial, help, AT(field_), \
	       .least = least_, .most = most_)
#define BYTES(name, most_, unit, initial, help) \
	OPTION(name, OPTION_BYTES, "BYTES", #initial #unit, help, AT(name), .most = most_)
#define FILE_NAME(name, append_, fallback_, help) \
	OPTION(name, OPTION_FILE, "0|1|FILE", "0", help, AT(name), .append = append_, \
	       .fallback = fallback_)
#define OTHER(name, values, initial, help) \
	OPTION(name, OPTION_OTHER, values, initial, help, .set = set_##name)

static const struct option table[] = {
#include "options_table.inc"
};

#define NUM_OPTIONS (sizeof(table) / sizeof(table[0]))

static const struct option *find_option(struct piece key)
{
	for (size_t i = 0; i < NUM_OPTIONS; i++)
		if (piece_is(key, table[i].name))
			return &table[i];
	return NULL;
}

static const char bad_value[] = "bad value";

static const char *set_file(char *file, const char *fallback, struct piece value)
{
	if (value.text == NULL || piece_is(value, "1"))
		value = (struct piece){ fallback, string_length(fallback) };
	else if (value.len == 0)
		return bad_value;
	else if (piece_is(value, "0"))
		value.len = 0;
	if (value.len >= OPTION_PATH_MAX)
		return "file name too long";
	copy_bytes(file, value.text, value.len);
	file[value.len] = '\0';
	return NULL;
}

/* Sets an option. Returns NULL, or what is wrong with the value, which changes nothing then. */
static const char *option_set(struct options *o, const struct option *option, struct piece value)
{
	void *field = (char *)o + option->field;
	uint64_t n = 1;

	switch (option->type) {
	case OPTION_FLAG:
		/* "01" is refused. */
		if (value.text != NULL && (value.len != 1 || !piece_number(value, 0, 1, &n)))
			return bad_value;
		*(bool *)field = n != 0;
		return NULL;
	case OPTION_LEVEL:
	case OPTION_NUMBER:
		if (value.text == NULL ? option->type == OPTION_NUMBER
				       : !piece_number(value, option->least, option->most, &n))
			return bad_value;
		*(uint32_t *)field = (uint32_t)n;
		return NULL;
	case OPTION_BYTES:
		if (value.text == NULL || !piece_bytes(value, option->most, &n))
			return bad_value;
		*(size_t *)field = n;
		return NULL;
	case OPTION_FILE:
		return set_file(field, option->fallback, value);
	default:
		return option->set(o, value) ? NULL : bad_value;
	}
}

/* --- the option that was meant --- */

static bool starts_with(const char *word, struct piece p)
{
	size_t n = 0;

	while (n < p.len && word[n] != '\0' && word[n] == p.text[n])
		n++;
	return n == p.len;
}

/* Returns the option whose name begins with the key, or is one slip away from it, or two slips if
 * the key is long. Returns NULL if there is none. */
static const struct option *nearest_option(struct piece key)
{
	const struct option *best = NULL;
	unsigned least = key.len >= 6 ? 3 : 2;

	for (size_t i = 0; i < NUM_OPTIONS; i++) {
		unsigned d = spelling_slips(key.text, key.len, table[i].name);

		if (key.len >= 3 && starts_with(table[i].name, key))
			return &table[i];
		if (d >= least || d >= key.len)
			continue;
		best = &table[i];
		least = d;
	}
	return best;
}

/* The columns of a terminal, and the column that help begins in. */
#define COLUMNS 80
#define HELP_COLUMN 40

/* Prints the next words, on a new line if the line has no room for them. Returns the new column. */
static size_t print_word(struct out *out, size_t column, const char *word, size_t n)
{
	if (column != HELP_COLUMN && column + 1 + n > COLUMNS) {
		out_format(out, "\n%40s", "");
		column = HELP_COLUMN;
	}
	out_format(out, "%s%.*s", column == HELP_COLUMN ? "" : " ", (int)n, word);
	return column + n + (column != HELP_COLUMN);
}

static void print_option(struct out *out, const struct option *option)
{
	const char *rest = option->help;
	size_t column = HELP_COLUMN;

	out_format(out, "  %-18s%-20s", option->name, option->values);
	while (*rest != '\0') {
		struct piece word = piece_cut(&rest, ' ');

		column = print_word(out, column, word.text, word.len);
	}
	if (column + 3 + string_length(option->initial) > COLUMNS)
		out_format(out, "\n%39s", "");
	out_format(out, " [%s]\n", option->initial);
}

void options_print(int fd)
{
	struct out *out = os_alloc_scratch(sizeof(*out));

	if (out == NULL)
		return;
	out_init(out, fd);
	for (size_t i = 0; i < NUM_OPTIONS; i++)
		print_option(out, &table[i]);
	(void)out_flush(out);
	os_free_scratch(out, sizeof(*out));
}

/* --- warnings: one line each --- */

/* The text that a warning shows is cut behind so many bytes. */
#define SHOWN_MOST 200

static int shown(struct piece given)
{
	return (int)min_size(given.len, SHOWN_MOST);
}

static const char *dots(struct piece given)
{
	return given.len > SHOWN_MOST ? "..." : "";
}

static void warn_unknown(const char *name, struct piece item, const struct option *meant)
{
	struct report r;

	report_init(&r, "%s: unknown option in '%.*s%s', ignored", name, shown(item), item.text,
		    dots(item));
	if (meant != NULL)
		report_add(&r, "; did you mean %s?", meant->name);
	report_write(&r, 2);
}

/* Adds what was meant by a number of bytes with a unit that is not Go's, such as 2G or 2mb. */
static void add_unit_that_was_meant(struct report *r, struct piece item)
{
	static const char units[] = "kmgt", names[] = "KMGT";
	size_t start, end;

	for (start = item.len; start > 0 && item.text[start - 1] != '='; start--)
		continue;
	for (end = start; end < item.len && item.text[end] >= '0' && item.text[end] <= '9'; end++)
		continue;
	for (size_t i = 0; end != start && end < item.len && units[i] != '\0'; i++) {
		struct piece rest = { item.text + end + 1, item.len - end - 1 };

		/* With Go's own unit the number is wrong. */
		if (item.text[end] == names[i] && rest.len == 2 && rest.text[0] == 'i' &&
		    rest.text[1] == 'B')
			continue;
		if (spelling_lower(item.text[end]) == units[i] &&
		    (rest.len == 0 || (piece_begins(rest, "b") && rest.len == 1) ||
		     (piece_begins(rest, "ib") && rest.len == 2)))
			report_add(r, "; did you mean %.*s%ciB?", (int)(end - start),
				   item.text + start, names[i]);
	}
}

static void warn_value(const char *name, const char *what, struct piece item,
		       const struct option *option)
{
	struct report r;

	report_init(&r, "%s: %s in '%.*s%s', ignored", name, what, shown(item), item.text,
		    dots(item));
	if (what == bad_value)
		report_add(&r, "; it takes %s", option->values);
	if (what == bad_value && starts_with(option->values, (struct piece){ "BYTES", 5 }))
		add_unit_that_was_meant(&r, item);
	report_write(&r, 2);
}

void options_warn_file(const char *name, const char *file, const char *obstacle)
{
	struct piece given = { file, string_length(file) };

	report_line(options.report_fd >= 0 ? options.report_fd : 2,
		    "%s: cannot write to '%.*s%s': %s", name, shown(given), file, dots(given),
		    obstacle);
}

/* --- reading --- */

void options_parse(struct options *o, const char *name, const char *text)
{
	while (*text != '\0') {
		struct piece item = piece_cut(&text, ',');
		const struct option *option;
		const char *wrong;
		struct piece key = { item.text, 0 };
		struct piece value = { NULL, 0 };

		if (item.len == 0)
			continue;
		while (key.len < item.len && item.text[key.len] != '=')
			key.len++;
		/* A key may stand alone: "off" is "off=1". */
		if (key.len < item.len)
			value = (struct piece){ item.text + key.len + 1, item.len - key.len - 1 };
		option = find_option(key);
		if (option == NULL) {
			warn_unknown(name, item, nearest_option(key));
			continue;
		}
		wrong = option_set(o, option, value);
		if (wrong != NULL)
			warn_value(name, wrong, item, option);
	}
}

/* Returns the value of an environment variable, or NULL if it is not set. Programs replace
 * getenv(). */
static const char *env(const char *name)
{
	for (char **e = environ; *e != NULL; e++) {
		const char *rest = text_after(*e, name);

		if (rest != NULL && *rest == '=')
			return rest + 1;
	}
	return NULL;
}

/* Reads a variable that stands for one option. An empty one has no effect. */
static void read_variable(struct options *o, const char *variable, const char *name)
{
	const struct option *option = find_option((struct piece){ name, string_length(name) });
	const char *text = env(variable), *wrong;
	struct piece value = { text, text == NULL ? 0 : string_length(text) };

	if (value.len == 0)
		return;
	wrong = option_set(o, option, value);
	if (wrong != NULL)
		warn_value(variable, wrong, value, option);
}

static void read_environment(struct options *o)
{
	const char *text = env("GOALLOC");
	uint64_t pid = 0;

	if (text != NULL)
		options_parse(o, "GOALLOC", text);
	text = env("GOALLOC_RUN_PID");
	if (text != NULL)
		o->beside = !piece_number((struct piece){ text, string_length(text) }, 1, INT_MAX,
					  &pid) || pid != (uint64_t)os_pid();
	read_variable(o, "GOALLOC_STATS", "stats");
	read_variable(o, "GOALLOC_PROFILE", "profile");
	read_variable(o, "GOALLOC_MEMLIMIT", "memlimit");
}

/* --- the files --- */

bool option_file_is_stderr(const char *file)
{
	return text_is(file, "-");
}

/* Makes a file name absolute, because programs change their directory before the file is written.
 * Returns NULL, or why the file has no such name. */
static const char *make_absolute(char *file)
{
	char there[OPTION_PATH_MAX];
	size_t n, len = string_length(file);

	if (file[0] == '/')
		return NULL;
	if (!os_directory(there, sizeof(there)))
		return "the directory has no name, or a long one";
	n = string_length(there);
	if (n + 1 + len >= OPTION_PATH_MAX)
		return "file name too long";
	there[n] = '/';
	copy_bytes(there + n + 1, file, len + 1);
	copy_bytes(file, there, n + 1 + len + 1);
	return NULL;
}

/* Reports a file that cannot be written to, and drops it. The report would be too late when the
 * program ends after hours. */
static void check_file(const char *name, char *file, bool append, bool secure)
{
	const char *obstacle;

	if (file[0] == '\0' || option_file_is_stderr(file))
		return;
	obstacle = secure ? "no files in setuid programs" : make_absolute(file);
	if (obstacle == NULL && out_check(file, append) == 0)
		return;
	options_warn_file(name, file,
			  obstacle != NULL ? obstacle : out_reason(-out_check(file, append)));
	file[0] = '\0';
}

static const char *name_in(const char *path)
{
	const char *name = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			name = path + 1;
	return name;
}

/* Returns whether this is the program of that name: of the file that was executed, which may be a
 * script, or of the program that the process was told to be. */
static bool is_program(const char *name)
{
	const char *file = (const char *)os_auxiliary(AT_EXECFN);

	return (file != NULL && text_is(name_in(file), name)) ||
	       (program_invocation_short_name != NULL &&
		text_is(program_invocation_short_name, name));
}

/* Keeps only=NAME: another program writes nothing. */
static void keep_only(struct options *o)
{
	if (o->only[0] == '\0')
		return;
	o->beside = false;
	if (is_program(o->only))
		return;
	o->stats[0] = o->profile[0] = o->leakreport[0] = o->heapmap[0] = '\0';
	o->leakcheck = 0;
	o->signal = 0;
}

/* Gives the leak report a place if leaks are looked for, and only then. */
static void complete(struct options *o)
{
	if (o->leakcheck == 0)
		o->leakreport[0] = '\0';
	else if (o->leakreport[0] == '\0')
		(void)set_file(o->leakreport, "-", (struct piece){ "1", 1 });
}

/* Opens the descriptors of outputs now, because programs close stderr before the library's exit
 * handler runs. */
static void open_outputs(struct options *o)
{
	if (o->stats[0] == '\0' && o->profile[0] == '\0' && o->heapmap[0] == '\0' &&
	    o->leakcheck == 0 && o->signal == 0)
		return;
	o->report_fd = os_dup_cloexec(2);
	if (o->report_fd < 0)
		o->report_fd = -1;
	if (option_file_is_stderr(o->stats))
		o->stats_fd = o->report_fd;
	else if (o->stats[0] != '\0')
		o->stats_fd = out_open_append(o->stats, 0);
	/* A FIFO without a reader may have one when the statistics are written. */
	if (o->stats[0] == '\0' || o->stats_fd >= 0 || o->stats_fd == -ENXIO)
		return;
	if (!option_file_is_stderr(o->stats))
		options_warn_file("stats", o->stats, out_reason(-o->stats_fd));
	o->stats[0] = '\0';
	o->stats_fd = -1;
}

void options_init(void)
{
	bool secure = os_is_secure();

	if (options_done || environ == NULL)
		return;
	options_done = true;
	if (&goalloc_conf != NULL && goalloc_conf != NULL)
		options_parse(&options, "goalloc_conf", goalloc_conf);
	if (!secure)
		read_environment(&options);
	if (options.help)
		options_print(2);
	keep_only(&options);
	for (size_t i = 0; i < NUM_OPTIONS; i++)
		if (table[i].type == OPTION_FILE)
			check_file(table[i].name, (char *)&options + table[i].field,
				   table[i].append, secure);
	complete(&options);
	open_outputs(&options);
}
