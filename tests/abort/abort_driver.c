/* SPDX-License-Identifier: MIT */
/*
 * abort_driver.c - runs one program of this directory and looks at how it ends.
 *
 * Usage: abort_driver PROGRAM [ARGUMENT] -- MESSAGE... The program must end by SIGABRT. The first
 * line of its stderr must be exactly one of the messages, and a stack must follow. In a message, %p
 * and %u stand for the pointer and the size that the program announced. With --clean for the
 * messages, the program must exit with 0 and write nothing to stderr.
 *
 * The driver runs on glibc's malloc. The program inherits the environment, with
 * LD_PRELOAD=$ABORT_PRELOAD when that is set.
 */
#include "program.h"

static struct program_result result;

/* Replaces %p and %u in the template; the result ends with a newline. */
static void expand(const char *template, const char *pointer, const char *size, char *text,
		   size_t room)
{
	size_t have = 0;

	while (*template != 0 && have < room - 2) {
		const char *word = strncmp(template, "%p", 2) == 0   ? pointer
				   : strncmp(template, "%u", 2) == 0 ? size
								     : NULL;
		if (word == NULL) {
			text[have++] = *template++;
			continue;
		}
		template += 2;
		for (; *word != 0 && have < room - 2; word++)
			text[have++] = *word;
	}
	text[have++] = '\n';
	text[have] = 0;
}

static int complain(const char *what, const char *expected)
{
	(void)fprintf(stderr, "%s\nexpected: %sstatus 0x%x%s\nstdout: %s\nstderr: %s\n", what,
		      expected, (unsigned)result.status, result.timed_out ? " (hung)" : "",
		      result.out, result.err);
	return 1;
}

/* Checks the line, and that a stack follows it. ABORT_OBJECT=1: what is known of the object may
 * stand between them. ABORT_HISTORY=1: the stacks of the allocation and of the first free
 * follow. */
static bool is_said(const char *expected)
{
	static const char used[] = "  used by thread ", found[] = "  found by thread ";
	size_t n = strlen(expected);
	const char *rest = result.err + n, *frame;

	if (strncmp(result.err, expected, n) != 0)
		return false;
	if (getenv("ABORT_OBJECT") != NULL && strncmp(rest, used, strlen(used)) != 0)
		rest = strchr(rest, '\n') + 1;
	frame = strstr(rest, ":\n    #0 0x");
	if (getenv("ABORT_HISTORY") != NULL &&
	    (strstr(rest, "\n  allocated:\n    #0 0x") == NULL ||
	     strstr(rest, "\n  freed by thread ") == NULL))
		return false;
	return (strncmp(rest, used, strlen(used)) == 0 ||
		strncmp(rest, found, strlen(found)) == 0) &&
	       frame != NULL && frame - rest < 40;
}

static int check_misuse(char **messages)
{
	char pointer[64] = "", size[64] = "", expected[512] = "";

	if (sscanf(result.out, "%63s %63s", pointer, size) != 2)
		return complain("the program did not announce its misuse", "\n");
	for (; *messages != NULL; messages++) {
		expand(*messages, pointer, size, expected, sizeof(expected));
		if (is_said(expected))
			break;
	}
	if (result.timed_out || !WIFSIGNALED(result.status) || WTERMSIG(result.status) != SIGABRT)
		return complain("the program was not ended by SIGABRT", expected);
	if (*messages == NULL)
		return complain("stderr is not the line expected and a stack", expected);
	return 0;
}

int main(int argc, char **argv)
{
	static char preload[4096];
	const char *env[] = {NULL, NULL};
	int dashes = 1;

	while (dashes < argc && strcmp(argv[dashes], "--") != 0)
		dashes++;
	if (dashes == 1 || dashes + 1 >= argc) {
		(void)fprintf(stderr, "usage: %s PROGRAM [ARGUMENT] -- MESSAGE...|--clean\n",
			      argv[0]);
		return 2;
	}
	argv[dashes] = NULL;
	if (getenv("ABORT_PRELOAD") != NULL) {
		(void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", getenv("ABORT_PRELOAD"));
		env[0] = preload;
	}
	program_run(argv + 1, env, &result);
	if (strcmp(argv[dashes + 1], "--clean") == 0)
		return program_exited_0(&result) && result.err[0] == 0
			       ? 0
			       : complain("a correct program did not end well", "\n");
	return check_misuse(argv + dashes + 1);
}
