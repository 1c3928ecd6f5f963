/* SPDX-License-Identifier: MIT */
/*
 * test_footprint.c - what a process pays for the library before it has a large heap, and where the
 * library's records lie.
 *
 * Owns     the measurement of a process by its own /proc/self/smaps. "plain" prints the figures of
 *          the program without the library, which the other cases compare with.
 * Callers  CTest, preloaded. argv[1] is the case.
 */
#include "face.h"
#include "proc.h"

#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* KiB of mappings. */
struct charge {
	long committed;    /* that count in the system's limit of promised memory */
	long dumped;       /* that a core has: neither a file's nor kept out */
	long writable;     /* private memory, as RLIMIT_DATA counts */
};

static void measure(struct charge *sum)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	long kib = 0, file = 0;
	unsigned long from, to, inode;

	CHECK(f != NULL);
	*sum = (struct charge){ 0, 0, 0 };
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx %*s %*x %*s %lu", &from, &to, &inode) == 3)
			file = inode != 0 || strchr(line, '[') != NULL;
		else if (sscanf(line, "Size: %ld kB", &kib) == 1)
			continue;
		else if (strncmp(line, "VmFlags:", 8) == 0) {
			sum->committed += strstr(line, " ac") != NULL ? kib : 0;
			sum->dumped += !file && strstr(line, " dd") == NULL ? kib : 0;
			sum->writable += strstr(line, " wr") != NULL ? kib : 0;
		}
	}
	(void)fclose(f);
}

static char self[512];

static struct charge charge_of_plain(void)
{
	struct charge plain;
	char command[600];
	FILE *f;

	CHECK(unsetenv("LD_PRELOAD") == 0);
	(void)snprintf(command, sizeof(command), "'%s' plain", self);
	f = popen(command, "r");
	CHECK(f != NULL &&
	      fscanf(f, "%ld %ld %ld", &plain.committed, &plain.dumped, &plain.writable) == 3);
	CHECK(pclose(f) == 0);
	return plain;
}

static void print_plain(void)
{
	struct charge charge;

	measure(&charge);
	(void)printf("%ld %ld %ld\n", charge.committed, charge.dumped, charge.writable);
	exit(0);
}

static void a_small_program_is_charged_little(void)
{
	struct charge mine, plain = charge_of_plain();

	measure(&mine);
	(void)printf("KiB: %ld committed, plain %ld; %ld in a core, plain %ld; %ld writable, plain "
		     "%ld\n",
		     mine.committed, plain.committed, mine.dumped, plain.dumped, mine.writable,
		     plain.writable);
	CHECK_LE(mine.committed, plain.committed + 1900);
	CHECK_LE(mine.dumped, plain.dumped + 4096);
	CHECK_LE(mine.writable, plain.writable + 1900);
}

/* Address space that objects are not in yet is in no core: efence=1 reserves a gigabyte. */
static void a_core_is_small_with_every_option(void)
{
	struct charge mine, plain = charge_of_plain();

	for (int i = 0; i < 100; i++)
		free(malloc((size_t)i * 100));
	measure(&mine);
	(void)printf("%ld KiB in a core, plain %ld\n", mine.dumped, plain.dumped);
	CHECK_LE(mine.dumped, plain.dumped + 6144);
}

static int add_writable(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; strstr(info->dlpi_name, "libgoalloc") != NULL && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    (info->dlpi_phdr[i].p_flags & PF_W) != 0)
			*(size_t *)arg += info->dlpi_phdr[i].p_memsz;
	return 0;
}

/* Finds the memory that libgc would search for pointers, in the way libgc does. */
static void a_conservative_collector_has_little_to_search(void)
{
	size_t nbytes = 0;

	CHECK(dl_iterate_phdr(add_writable, &nbytes) == 0);
	(void)printf("%zu bytes of writable segments\n", nbytes);
	CHECK(nbytes != 0);
	CHECK_LE(nbytes, MiB);
}

static void locked_memory_has_room_below_8_mib(void)
{
	const struct rlimit limit = { 8 * MiB, 8 * MiB };

	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	/* The limit does not hold for root. */
	CHECK(getuid() != 0 || setuid(65534) == 0);
	CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	for (int i = 0; i < 10; i++) {
		char *p = malloc(50000);

		CHECK(p != NULL);
		memset(p, i, 50000);
	}
}

/* A failing request leaves nothing behind. Several requests may succeed where the system
 * overcommits. */
static void a_request_that_fails_costs_nothing(void)
{
	size_t before = proc_field("/proc/self/status", "VmRSS"), space = 0;

	for (int i = 0; i < 8; i++) {
		free(malloc((size_t)1 << 45));
		free(malloc((size_t)1 << 39));
		if (i == 1)
			space = proc_field("/proc/self/status", "VmSize");
	}
	CHECK_LE(proc_field("/proc/self/status", "VmRSS"), before + 8 * 1024);
	CHECK_LE(proc_field("/proc/self/status", "VmSize"), space + 1024);
}

/* --- threads --- */

enum { NTHREADS = 100 };

/* KiB of private writable memory, and of anonymous memory that is there. */
struct memory {
	long writable, resident;
};

static struct memory memory_now(void)
{
	return (struct memory){ (long)proc_field("/proc/self/status", "VmData"),
				(long)proc_field("/proc/self/status", "RssAnon") };
}

static bool threads_allocate;
static pthread_barrier_t all_began, may_end;

static void *thread_that_allocates(void *arg)
{
	void *p = threads_allocate ? malloc(100) : NULL;

	(void)pthread_barrier_wait(&all_began);
	(void)pthread_barrier_wait(&may_end);
	free(p);
	return arg;
}

/* Returns what there is while NTHREADS threads live. They have ended then. */
static struct memory with_threads(bool allocate)
{
	struct memory then;
	pthread_t t[NTHREADS];
	pthread_attr_t attr;

	threads_allocate = allocate;
	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 65536) == 0);
	CHECK(pthread_barrier_init(&all_began, NULL, NTHREADS + 1) == 0 &&
	      pthread_barrier_init(&may_end, NULL, NTHREADS + 1) == 0);
	for (int i = 0; i < NTHREADS; i++)
		CHECK(pthread_create(&t[i], &attr, thread_that_allocates, NULL) == 0);
	(void)pthread_barrier_wait(&all_began);
	then = memory_now();
	(void)pthread_barrier_wait(&may_end);
	for (int i = 0; i < NTHREADS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	return then;
}

/* The threads that do not allocate leave their stacks to the others. */
static void a_thread_costs_little_and_nothing_when_it_is_gone(void)
{
	struct memory without = with_threads(false), with = with_threads(true), after;

	((int (*)(size_t))face_sym("malloc_trim"))(0);
	after = memory_now();
	(void)printf("a thread: %ld KiB writable, %ld resident; after a trim: %ld, %ld\n",
		     (with.writable - without.writable) / NTHREADS,
		     (with.resident - without.resident) / NTHREADS,
		     (after.writable - without.writable) / NTHREADS,
		     (after.resident - without.resident) / NTHREADS);
	CHECK_LE(with.writable, without.writable + 128 * NTHREADS);
	CHECK_LE(with.resident, without.resident + 40 * NTHREADS);
	/* Pages of the heap stay writable. */
	CHECK_LE(after.writable, without.writable + 72 * NTHREADS);
	CHECK_LE(after.resident, without.resident + 3 * NTHREADS);
}

/* --- neighbours --- */

struct span_of_addresses {
	unsigned long from, to;
	bool touchable, anonymous;
};

static struct span_of_addresses places[4000];

static size_t read_places(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], rights[8];
	unsigned long inode;
	size_t n = 0;

	CHECK(f != NULL);
	while (n < sizeof(places) / sizeof(places[0]) && fgets(line, sizeof(line), f) != NULL) {
		struct span_of_addresses *p = &places[n++];

		CHECK(sscanf(line, "%lx-%lx %7s %*x %*s %lu", &p->from, &p->to, rights, &inode) ==
		      4);
		p->touchable = rights[0] == 'r';
		p->anonymous = inode == 0 && strchr(line, '[') == NULL;
	}
	(void)fclose(f);
	return n;
}

/* Nothing beside the first mapping can be touched. */
static bool stands_alone(size_t i, size_t n)
{
	return (i == 0 || places[i - 1].to != places[i].from || !places[i - 1].touchable) &&
	       (i + 1 == n || places[i + 1].from != places[i].to || !places[i + 1].touchable);
}

/* What the program maps by itself never lies beside what the library maps, however much of either
 * there is. */
static void no_mapping_of_the_library_has_a_neighbour(void)
{
	static void *kept[60000], *own[64];
	const size_t nbytes = 1900 * 1024;
	size_t n, seen = 0;

	for (size_t k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
		kept[k] = malloc(16 + k % 64 * 8);
		CHECK(kept[k] != NULL);
		if (k % 1000 == 0) {
			own[k / 1000] = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			CHECK(own[k / 1000] != MAP_FAILED);
		}
	}
	n = read_places();
	for (size_t i = 0; i < n; i++) {
		/* The heap's place is below the program, or, where the program is below it, away
		 * from the libraries. */
		if (!places[i].anonymous || !places[i].touchable ||
		    places[i].to > (unsigned long)own[59] ||
		    (places[i].from <= (unsigned long)&seen &&
		     (unsigned long)&seen < places[i].to) ||
		    (places[i].from <= (unsigned long)kept && (unsigned long)kept < places[i].to) ||
		    (i > 0 && places[i - 1].to == places[i].from && !places[i - 1].anonymous))
			continue;
		seen++;
		CHECK(stands_alone(i, n));
	}
	(void)printf("%zu mappings\n", seen);
	/* The heap, and its records. */
	CHECK(seen >= 2);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "charge", a_small_program_is_charged_little },
		{ "core", a_core_is_small_with_every_option },
		{ "collector", a_conservative_collector_has_little_to_search },
		{ "locked", locked_memory_has_room_below_8_mib },
		{ "failing", a_request_that_fails_costs_nothing },
		{ "threads", a_thread_costs_little_and_nothing_when_it_is_gone },
		{ "neighbours", no_mapping_of_the_library_has_a_neighbour },
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	CHECK(n > 0);
	if (argc == 2 && strcmp(argv[1], "plain") == 0)
		print_plain();
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
