# gprofng.sh - a tracer of the heap that calls libc's allocator by its inner names.
what="gprofng collect with a heap trace, and its report"
packages="binutils gcc libc6-dev"
programs="gprofng gcc"

run_case() {
	cat >load.c <<-'END'
		#include <pthread.h>
		#include <stdlib.h>
		#include <string.h>
		static void *work(void *arg)
		{
			void *kept[100] = { 0 };
			for (int i = 0; i < 20000; i++) {
				free(kept[i % 100]);
				kept[i % 100] = i % 3 ? malloc(i % 5000 + 1) : calloc(3,
					i % 700 + 1);
				kept[i % 100] = realloc(kept[i % 100], i % 900 + 1);
				memset(kept[i % 100], 1, i % 900 + 1);
			}
			for (int i = 0; i < 100; i++)
				free(kept[i]);
			return arg;
		}
		int main(void)
		{
			pthread_t t[2];
			for (int i = 0; i < 2; i++)
				pthread_create(&t[i], 0, work, 0);
			for (int i = 0; i < 2; i++)
				pthread_join(t[i], 0);
			work(0);
			return 0;
		}
	END
	gcc -O1 -g -pthread load.c -o load
	gprofng collect app -H on -O run.er ./load >collect.log 2>&1
	gprofng display text -heap run.er 2>errors | grep -o -m 1 'Instances = [0-9]*'
	gprofng display text -functions run.er 2>>errors | grep -q main &&
		echo "a list of functions"
}
