/* SPDX-License-Identifier: MIT */
/*
 * command_profile.c - goalloc-view --pprof and --json=flame: the sampled allocations.
 */
#include "base/options.h"
#include "base/text.h"
#include "os/out.h"
#include "view/command.h"
#include "view/find.h"
#include "view/lines.h"
#include "view/profile.h"
#include "view/raise.h"
#include "view/symbolize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mean bytes between samples if the process's options give none. */
#define RATE KiB(512)

/* Finds goalloc. Returns VIEW_OK, or an exit status after a line on standard error. */
static int find(struct target *t, struct viewed_root *root)
{
	enum found found = find_root(t, root);

	if (found == FOUND)
		return VIEW_OK;
	(void)command_fail_target(t);
	return found == FOUND_OTHER ? VIEW_OTHER : VIEW_FAILED;
}

/* Returns the mean bytes between samples that the process's options ask for. */
static size_t rate_of(struct target *t, const struct viewed_root *root)
{
	size_t rate = 0;

	(void)target_read_all(t,
			      (uintptr_t)root->options + offsetof(struct options, memprofilerate),
			      &rate, sizeof(rate));
	return rate != 0 ? rate : RATE;
}

/* Lets the process take samples for some seconds, if it does not take any by itself, and reads
 * them while the wish lasts. *before gets those that there were. Returns false with target.error
 * set; the caller drops both in any case. */
static bool sample_for(struct target *t, const struct viewed_root *root, unsigned seconds,
		       struct samples *before, struct samples *s)
{
	struct raised raised = { .target = t };
	bool lasts;

	samples_read(before, t, root);
	if (!before->on && !raise_begin(&raised, t, root, rate_of(t, root), seconds))
		return false;
	lasts = raise_wait(&raised, seconds);
	/* Libraries may have been loaded meanwhile. */
	if (lasts && (lasts = target_refresh(t)))
		samples_read(s, t, root);
	raise_end(&raised);
	if (lasts)
		return true;
	return target_fail_gone(t, "it ended before its samples were read");
}

/* Reads the samples, after some seconds of sampling if the options say so. */
static int sample(struct target *t, const struct viewed_root *root, struct samples *s)
{
	struct samples before = { .rate = 0 };
	int status = VIEW_OK;

	if (view_modifiers.seconds == 0) {
		samples_read(s, t, root);
		return VIEW_OK;
	}
	if (t->is_core)
		return command_fail("--seconds: a core takes no samples any more");
	if (!sample_for(t, root, view_modifiers.seconds, &before, s))
		status = command_fail_target(t);
	samples_drop(&before);
	return status;
}

/* Writes beside the file, and replaces it when all is written. What is no plain file is written to
 * itself. */
static int write_file(const char *file, struct target *t, const struct samples *s)
{
	size_t n = strlen(file) + 32;
	char *beside = malloc(n);
	bool text = text_ends(file, ".heap"), plain = access(file, F_OK) != 0;
	int fd, error;

	if (beside == NULL)
		return ENOMEM;
	(void)snprintf(beside, n, "%s.%d.new", file, (int)getpid());
	if (!plain) {
		struct stat st;

		plain = stat(file, &st) == 0 && S_ISREG(st.st_mode);
	}
	fd = open(plain ? beside : file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	error = fd < 0 ? errno : profile_write(fd, t, s, text);
	if (fd >= 0 && close(fd) != 0 && error == 0)
		error = errno;
	/* Without lines it is a profile, too. */
	if (plain && error == 0 && !text && symbolize_can())
		(void)lines_into_profile(beside);
	if (plain && error == 0 && rename(beside, file) != 0)
		error = errno;
	if (plain && error != 0 && fd >= 0)
		(void)unlink(beside);
	free(beside);
	return error;
}

int command_pprof(struct target *t, const char *value)
{
	struct viewed_root root;
	struct samples s = { .rate = 0 };
	int status, error;

	if (value == NULL)
		return command_fail("--pprof needs the name of a file");
	status = find(t, &root);
	if (status == VIEW_OK)
		status = sample(t, &root, &s);
	if (status == VIEW_OK && s.rate == 0)
		status = view_modifiers.seconds != 0 ?
			 command_fail("process %d has begun no profile: it is stopped, or its "
				      "threads need no more than they keep", t->pid) :
			 command_fail("the process has taken no profile: with --seconds 30 it "
				      "takes one so long");
	if (status == VIEW_OK) {
		error = write_file(value, t, &s);
		if (error != 0)
			status = command_fail("%s: %s", value, strerror(error));
	}
	samples_drop(&s);
	return status;
}

/* Copies a file to a stream. */
static bool copy_file(FILE *out, int fd)
{
	char bytes[16384];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		if (fwrite(bytes, 1, (size_t)n, out) != (size_t)n)
			return false;
	return n == 0;
}

/* Writes samples as a profile to a stream. Returns an exit status, with target.error set. */
static int stream_samples(FILE *out, struct target *t, const struct samples *s)
{
	char file[] = "/tmp/goalloc-view.XXXXXX";
	int fd = mkostemp(file, O_CLOEXEC), status = VIEW_FAILED;

	if (fd < 0) {
		(void)target_fail(t, "a file in /tmp cannot be made: %s", strerror(errno));
		return VIEW_FAILED;
	}
	close(fd);
	errno = write_file(file, t, s);
	fd = errno == 0 ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && copy_file(out, fd))
		status = VIEW_OK;
	else
		(void)target_fail(t, "the profile cannot be written: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	(void)unlink(file);
	return status;
}

int command_pprof_stream(FILE *out, struct target *t)
{
	struct viewed_root root;
	struct samples s;
	int status;

	if (find_root(t, &root) != FOUND)
		return VIEW_FAILED;
	samples_read(&s, t, &root);
	status = stream_samples(out, t, &s);
	samples_drop(&s);
	return status;
}

int command_pprof_delta(FILE *out, struct target *t, unsigned seconds)
{
	struct samples before = { .rate = 0 }, s = { .rate = 0 };
	struct viewed_root root;
	int status = VIEW_FAILED;

	if (find_root(t, &root) != FOUND)
		return VIEW_FAILED;
	if (sample_for(t, &root, seconds, &before, &s)) {
		samples_subtract(&s, &before);
		status = stream_samples(out, t, &s);
	}
	samples_drop(&before);
	samples_drop(&s);
	return status;
}

int command_flame(FILE *out, struct target *t)
{
	struct viewed_root root;
	struct samples s = { .rate = 0 };
	enum found found = find_root(t, &root);

	if (found != FOUND)
		return found == FOUND_OTHER ? VIEW_OTHER : VIEW_FAILED;
	samples_read(&s, t, &root);
	profile_json(out, t, &s);
	samples_drop(&s);
	return VIEW_OK;
}
