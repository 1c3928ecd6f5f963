/* SPDX-License-Identifier: MIT */
/*
 * site.c - goalloc-view --serve: the documents about a target, for a browser and for tools.
 */
#include "view/command.h"
#include "view/document.h"
#include "view/serve.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is served. */
struct site {
	struct target *target;
	int pidfd;               /* tells the end of the process; -1 if there is none */
};

static int answer(void *context, const char *path, const char *query, FILE *out,
		  const char **type)
{
	struct site *site = context;

	for (const struct document *d = documents; d->path != NULL; d++) {
		if (strcmp(path, d->path) != 0)
			continue;
		int status = d->write(out, site->target, query);

		if (status == 200)
			*type = d->type;
		return status;
	}
	fputs("there is no such document; there are", out);
	for (const struct document *d = documents; d->path != NULL; d++)
		fprintf(out, " %s", d->path);
	fputs("\n", out);
	return 404;
}

static bool is_slow(void *context, const char *path, const char *query)
{
	(void)context;
	for (const struct document *d = documents; d->path != NULL; d++)
		if (strcmp(path, d->path) == 0)
			return d->takes_long != NULL && d->takes_long(query);
	return false;
}

/* A core lasts. A process that nobody has waited for does not: its memory is gone. */
static bool lasts(void *context)
{
	const struct site *site = context;
	struct pollfd ended = { site->pidfd, POLLIN, 0 };

	if (site->target->is_core)
		return true;
	if (site->pidfd >= 0)
		return poll(&ended, 1, 0) == 0;
	/* Linux before 5.3. */
	return kill(site->target->pid, 0) == 0;
}

int command_serve(struct target *t, const char *value)
{
	char name[80];
	struct site site = { t, -1 };
	struct serve_site served = { answer, is_slow, lasts, &site, name };

	snprintf(name, sizeof(name), "%s%s%d%s%.32s%s", t->is_core ? "core of " : "", "process ",
		 t->pid, t->name[0] ? " (" : "", t->name, t->name[0] ? ")" : "");
	if (!t->is_core)
		site.pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	int status = serve(value, &served);

	if (site.pidfd >= 0)
		close(site.pidfd);
	return status == 0 ? VIEW_OK : VIEW_FAILED;
}
