# tsan.sh - a program built with gcc's ThreadSanitizer, which refuses memory at addresses that are
# not its programs'.
what="a program with gcc's ThreadSanitizer"
packages="gcc"
programs="gcc"

prepare() {
	cat >"$INPUT/threads.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void *work(void *arg)
{
	for (size_t i = 0; i < 1000; i++) {
		char *p = malloc(i * 100);
		memset(p, 1, i * 100);
		free(p);
	}
	return arg;
}
int main(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts("done");
}
END
	gcc -w -O1 -fsanitize=thread "$INPUT/threads.c" -o "$INPUT/threads" -pthread
}

run_case() {
	local i
	# ThreadSanitizer does not see what orders a free before the malloc that reuses the memory.
	# It would report races. The library says so.
	for i in $(seq "$(pick 5 30)"); do
		TSAN_OPTIONS=report_bugs=0 "$INPUT/threads" 2>&1 |
			grep -v "ThreadSanitizer does not see this heap"
	done
}
