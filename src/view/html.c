/* SPDX-License-Identifier: MIT */
/*
 * html.c - goalloc-view --html: the page with its data inside, of a target that there is or of a
 * program at its end.
 */
#include "view/attend.h"
#include "view/command.h"
#include "view/document.h"
#include "view/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DATA_MAX = 8 };

/* Writes the page, and what happens to the stream. */
static int write_file(const char *file, const struct page_data *data, size_t ndata)
{
	bool to_stdout = strcmp(file, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(file, "we");

	if (out == NULL)
		return command_fail("--html: cannot write to '%s': %s", file, strerror(errno));
	page_write(out, data, ndata);
	bool whole = fflush(out) == 0 && ferror(out) == 0;
	int error = errno;

	if (!to_stdout && fclose(out) != 0 && whole) {
		whole = false;
		error = errno;
	}
	if (!whole)
		return command_fail("--html: cannot write to '%s': %s", file, strerror(error));
	return VIEW_OK;
}

/* Sets *data to a document. Returns false after a line on standard error if it cannot be had and
 * the page is nothing without it. */
static bool read_document(const struct document *d, struct target *t, struct page_data *data)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int status = out != NULL ? d->write(out, t, "") : 0;
	bool whole = out != NULL && ferror(out) == 0;

	if (out != NULL && fclose(out) != 0)
		whole = false;
	*data = (struct page_data){ d->name, text, length };
	if (whole && status == 200)
		return true;
	if (!whole)
		(void)command_fail("--html: there is not enough memory for %s", d->name);
	else
		(void)command_fail("process %d: %s: %.*s", t->pid, d->name,
				   (int)strcspn(text, "\n"), text);
	free(text);
	data->json = NULL;
	return false;
}

int command_html(struct target *t, const char *value)
{
	struct page_data data[DATA_MAX];
	size_t ndata = 0;
	int status = VIEW_OK;

	for (const struct document *d = documents; d->path != NULL && ndata < DATA_MAX; d++) {
		if (d->name == NULL)
			continue;
		if (read_document(d, t, &data[ndata]))
			ndata++;
		else if (strcmp(d->name, "stats") == 0)
			status = VIEW_FAILED;
		if (status != VIEW_OK)
			break;
	}
	if (status == VIEW_OK)
		status = write_file(value, data, ndata);
	for (size_t i = 0; i < ndata; i++)
		free((char *)data[i].json);
	return status;
}

/* Removes a file that nothing was written to. */
static void remove_empty(const char *file)
{
	struct stat st;

	if (lstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
		(void)unlink(file);
}

/* Looks at the program that ends. */
static void look(void *context, pid_t tid)
{
	struct target t;

	if (!target_open_process(&t, tid))
		(void)command_fail_target(&t);
	else if (command_html(&t, context) == VIEW_OK)
		context = NULL;
	if (context != NULL)
		remove_empty(context);
	target_close(&t);
}

/* Returns a name in which %p is our process id, to be freed; NULL if there is no memory. */
static char *fill_in(const char *pattern)
{
	char *name = NULL;
	size_t length;
	FILE *out = open_memstream(&name, &length);

	if (out == NULL)
		return NULL;
	for (const char *at = pattern; *at != '\0'; at++) {
		if (at[0] == '%' && at[1] == 'p') {
			fprintf(out, "%d", (int)getpid());
			at++;
		} else {
			fputc(*at, out);
		}
	}
	return fclose(out) == 0 ? name : NULL;
}

int command_html_of_program(char **argv, const char *pattern)
{
	char *file = fill_in(pattern);
	/* Better now than when the program has run for an hour. */
	FILE *out = file != NULL ? fopen(file, "ae") : NULL;

	if (out == NULL)
		return command_fail("--html: cannot write to '%s': %s", pattern, strerror(errno));
	fclose(out);
	char *path = realpath(file, NULL);
	int status = attend(argv, look, path != NULL ? path : file);

	remove_empty(file);
	free(path);
	free(file);
	return status;
}
