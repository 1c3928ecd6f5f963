# tsan.sh - programs built with the sanitizers that reserve most of the address space.
what="programs built with -fsanitize=thread, address and undefined, many starts"
packages="gcc libc6-dev libtsan2 libasan8 libubsan1"
programs="gcc"

run_case() {
	local kind i
	cat >load.c <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
		static long sum;
		static void *work(void *arg)
		{
			for (int i = 1; i < 3000; i++) {
				char *p = malloc(i);
				memset(p, 1, i);
				p = realloc(p, 2 * i);
				pthread_mutex_lock(&lock);
				sum += p[i / 2];
				pthread_mutex_unlock(&lock);
				free(p);
			}
			return arg;
		}
		int main(void)
		{
			pthread_t t[2];
			for (int i = 0; i < 2; i++)
				pthread_create(&t[i], 0, work, 0);
			for (int i = 0; i < 2; i++)
				pthread_join(t[i], 0);
			printf("%ld\n", sum);
			return 0;
		}
	END
	for kind in thread undefined; do
		gcc -O1 -g -pthread -fsanitize=$kind load.c -o "load-$kind"
		for ((i = 0; i < $(pick 10 50); i++)); do
			./"load-$kind" 2>&1 || echo "exit status $?"
		done | sort | uniq -c
	done
}
