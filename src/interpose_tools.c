/* SPDX-License-Identifier: MIT */
/*
 * interpose_tools.c - the functions of goalloc.h that look into the heap and steer it.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  programs. Calls malloc.h, profile.h, sample.h.
 * Locks    none.
 * Holds    no logic: each function checks its arguments as goalloc.h says, and passes on.
 */
#include "malloc.h"
#include "options.h"
#include "os.h"
#include "out.h"
#include "profile.h"
#include "rights.h"
#include "sample.h"

#include "../include/goalloc.h"

#include <errno.h>

/* What a function of the face returns for an errno, or 0. */
static int result_of(int error)
{
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

/* --- the profile --- */

/* The leak finder knows from the same records where objects came from. */
static int profile_obstacle(void)
{
	return options.off ? ENOTSUP : options.leakcheck != 0 ? EBUSY : 0;
}

EXPORT int goalloc_profile_start(size_t rate)
{
	int error = rate == 0 ? EINVAL : profile_obstacle();
	uint32_t rights;

	if (error != 0)
		return result_of(error);
	thread_attend();
	rights = rights_open();
	if (profile_start(rate))
		sample_begin(rate, options.guardrate);
	else
		error = ENOMEM;
	rights_close(rights);
	return result_of(error);
}

EXPORT int goalloc_profile_stop(void)
{
	int error = profile_obstacle();
	uint32_t rights;

	if (error != 0)
		return result_of(error);
	rights = rights_open();
	profile_stop();
	if (options.guardrate != 0 || options.stats_fd >= 0)
		sample_begin(0, options.guardrate);
	else
		sample_end();
	rights_close(rights);
	return 0;
}

EXPORT int goalloc_profile_write_fd(int fd, int text)
{
	uint32_t rights = rights_open();
	int error = profile_write_or_errno(fd, text != 0);

	rights_close(rights);
	return result_of(error);
}

EXPORT int goalloc_profile_write(const char *file)
{
	int fd = out_open(file, false);
	int result;

	if (fd < 0)
		return result_of(-fd);
	result = goalloc_profile_write_fd(fd, profile_is_text(file));
	os_close(fd);
	return result;
}

/* --- the memory limit --- */

EXPORT size_t goalloc_set_memory_limit(size_t bytes)
{
	return bytes == 0 ? heap_limit() : heap_set_limit(bytes);
}
