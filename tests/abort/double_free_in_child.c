/* SPDX-License-Identifier: MIT */
/*
 * double_free_in_child.c - a child frees twice what its parent allocated. The parent ends as
 * the child did.
 */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);
	int status = 0;
	pid_t child;

	announce(p, 0);
	child = fork();
	if (child == 0) {
		do_free(p);
		do_free(p);
		_exit(0);
	}
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		(void)raise(WTERMSIG(status));
	return 0;
}
