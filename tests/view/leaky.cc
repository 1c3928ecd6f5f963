/* SPDX-License-Identifier: MIT */
/*
 * leaky.cc - a C++ program with threads that leaks what it says, and then waits.
 *
 * Usage: leaky [THREADS [storm|ignored]]. It leaks, in each thread: a chain of 10 nodes of 48
 * bytes, and 5 blocks of 3000 bytes. What it keeps: a vector of 1000 strings of 100 bytes, a node
 * that only a register and the stack of a thread lead to, and in the middle of a block of 2 MiB the
 * only address of another. Then it writes "ready", and ends when its input does. With storm, the
 * threads allocate and free without end meanwhile. With ignored, goalloc_ignore() is called for the
 * first node of each chain, and its address is printed.
 */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <unistd.h>

struct node {
	node *next;
	char rest[40];
};

static std::vector<std::string> kept;
char **large; /* not static, or the compiler would drop it */
static std::atomic<int> ready;
static std::atomic<bool> over;
static bool storm;
static int (*ignore)(void *);

__attribute__((noinline)) static void leak_chain(void)
{
	node *first = nullptr;

	for (int i = 0; i < 10; i++) {
		node *n = static_cast<node *>(malloc(sizeof(node)));

		memset(static_cast<void *>(n), 0, sizeof(node));
		n->next = first;
		first = n;
	}
	if (ignore != nullptr && ignore(first) == 0)
		printf("%p\n", static_cast<void *>(first));
	asm volatile("" : : "r"(first) : "memory");
}

__attribute__((noinline)) static void leak_blocks(void)
{
	for (int i = 0; i < 5; i++) {
		void *p = malloc(3000);

		memset(p, 1, 3000);
		asm volatile("" : : "r"(p) : "memory");
	}
}

/* Overwrites what the functions above left on the stack. */
__attribute__((noinline)) static void clear_stack(void)
{
	volatile char bytes[16384];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0;
}

/* Allocates, keeps and frees a list. What it keeps only its stack leads to. */
__attribute__((noinline)) static void turn(unsigned seed)
{
	std::vector<std::string *> list;

	for (int i = 0; i < 200; i++) {
		seed = seed * 1103515245 + 12345;
		list.push_back(new std::string(16 + (seed >> 16) % 2000, 'x'));
	}
	for (std::string *s : list)
		delete s;
	/* A big object takes a slow path, where the thread notices that a tracer waits. The small
	 * objects above may never take one. */
	void *volatile big = malloc(100000);

	free(big);
}

static void body(unsigned number)
{
	char *only_here;

	leak_chain();
	leak_blocks();
	clear_stack();
	only_here = static_cast<char *>(malloc(700));
	memset(only_here, 1, 700);
	ready++;
	while (!over) {
		if (storm)
			turn(number);
		else
			usleep(10000);
	}
	free(only_here);
}

int main(int argc, char **argv)
{
	unsigned nthreads = argc > 1 ? static_cast<unsigned>(atoi(argv[1])) : 1;
	std::vector<std::thread> threads;
	char byte;

	storm = argc > 2 && strcmp(argv[2], "storm") == 0;
	if (argc > 2 && !storm)
		ignore = reinterpret_cast<int (*)(void *)>(dlsym(RTLD_DEFAULT, "goalloc_ignore"));
	for (int i = 0; i < 1000; i++)
		kept.push_back(std::string(100, 'k'));
	large = static_cast<char **>(malloc(2 << 20));
	large[100000] = static_cast<char *>(malloc(2 << 20));
	for (unsigned i = 0; i < nthreads; i++)
		threads.emplace_back(body, i);
	while (ready < static_cast<int>(nthreads))
		usleep(1000);
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		continue;
	over = true;
	for (std::thread &t : threads)
		t.join();
	return 0;
}
