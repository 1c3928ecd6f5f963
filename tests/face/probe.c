/* SPDX-License-Identifier: MIT */
/*
 * probe.c - the program that test_options.c runs under various environments.
 *
 * It allocates, does what argv[1] names, says on stdout what it found, and exits with 0. It is not
 * linked with the library. With PROBE_CONF defined it carries a goalloc_conf of its own.
 */
#include "face.h"
#include "libcs_own.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifdef PROBE_CONF
extern const char *goalloc_conf;
const char *goalloc_conf = PROBE_CONF;
#endif

typedef struct mallinfo2 mallinfo2_fn(void);

static void allocate_and_free(void)
{
	enum { LIVE = 300 };
	static void *p[LIVE];
	static size_t n[LIVE];
	uint64_t rng = 12345;

	for (int i = 0; i < 20000; i++) {
		size_t k = rng_next(&rng) % LIVE;
		CHECK(p[k] == NULL || face_object_intact(p[k], n[k], 6));
		if (i % 10 == 0) {
			n[k] = rng_mixed_size(&rng) + 1;
			p[k] = realloc(p[k], n[k]);
		} else if (i % 10 == 1) {
			free(p[k]);
			n[k] = rng_mixed_size(&rng) + 1;
			p[k] = aligned_alloc(256, n[k]);
		} else {
			free(p[k]);
			n[k] = rng_mixed_size(&rng) + 1;
			p[k] = i % 2 == 0 ? malloc(n[k]) : calloc(1, n[k]);
			CHECK(p[k] != NULL && (i % 2 == 0 || *(char *)p[k] == 0));
		}
		CHECK(p[k] != NULL && malloc_usable_size(p[k]) >= n[k]);
		face_object_fill(p[k], n[k], 6);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(p[k]);
}

/* Returns how much a heap grows when the program allocates 100000 bytes. */
static size_t growth(mallinfo2_fn *figures)
{
	size_t before = figures().uordblks + figures().hblkhd, after;
	void *p = malloc(100000);

	CHECK(p != NULL);
	after = figures().uordblks + figures().hblkhd;
	free(p);
	return after - before;
}

/* Returns which heap grows when the program allocates. musl's malloc tells no figures. */
static const char *whose_malloc(void)
{
	mallinfo2_fn *libcs = (mallinfo2_fn *)libcs_own("mallinfo2");
	bool goalloc = growth(mallinfo2) >= 100000;

#if defined(__GLIBC__)
	CHECK(libcs != NULL);
#endif
	CHECK(libcs == NULL || (growth(libcs) >= 100000) != goalloc);
	return goalloc ? "goalloc" : "libc";
}

/* Calls each entry point once. */
static void call_them_all(void)
{
	typedef void free_sized_fn(void *, size_t);
	typedef void free_aligned_sized_fn(void *, size_t, size_t);
	typedef void cfree_fn(void *);
	void *p = NULL;

	CHECK(posix_memalign(&p, 64, 100) == 0);
	free(p);
	free(valloc(10));
	free(pvalloc(10));
	free(memalign(64, 10));
	free(reallocarray(NULL, 10, 10));
	((free_sized_fn *)face_sym("free_sized"))(malloc(50), 50);
	((free_aligned_sized_fn *)face_sym("free_aligned_sized"))(aligned_alloc(64, 50), 64, 50);
	((cfree_fn *)face_sym("cfree"))(malloc(50));
	((free_sized_fn *)face_sym("_ZdlPvm"))(((void *(*)(size_t))face_sym("_Znwm"))(50), 50);
	CHECK((p = malloc(200000)) != NULL);
	if (strcmp(whose_malloc(), "goalloc") == 0)
		CHECK_LE(200000, mallinfo2().uordblks + mallinfo2().hblkhd);
	free(p);
	(void)malloc_trim(0);
}

static void close_stdio(void)
{
	(void)fclose(stdout);
	(void)fclose(stderr);
	(void)close(1);
	(void)close(2);
}

/* Prints how many bytes of a freed object are unchanged. */
static size_t unchanged_after_free(void)
{
	enum { N = 1000 };
	unsigned char *volatile p = malloc(N), *volatile neighbour = malloc(N);
	volatile unsigned char *freed = p;
	size_t same = 0;

	CHECK(p != NULL && neighbour != NULL);
	memset(p, 0x55, N);
	free(p);
	for (size_t i = 0; i < N; i++)
		same += freed[i] == 0x55;
	free(neighbour);
	return same;
}

/* Does /proc/self/maps have our names? Can it have names at all? */
static const char *names_of_mappings(void)
{
	static char maps[1 << 18];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = aligned_alloc(page, page);
	bool can;

	CHECK(p != NULL && proc_read_file("/proc/self/maps", maps, sizeof(maps)));
	if (strstr(maps, "[anon:goalloc: heap]") != NULL &&
	    strstr(maps, "[anon:goalloc: metadata]") != NULL)
		return "decorated";
	/* PR_SET_VMA, PR_SET_VMA_ANON_NAME */
	can = prctl(0x53564d41, 0, p, page, "probe") == 0;
	free(p);
	return strstr(maps, "goalloc: ") != NULL  ? "half"
	       : can || getenv("GOALLOC") == NULL ? "plain"
						  : "no names here";
}

/* Prints what realloc(p, 0) does: "freed" or "object". */
static const char *realloc_to_zero(void)
{
	void *(*volatile opaque_realloc)(void *, size_t) = realloc;
	void *small = opaque_realloc(malloc(100), 0), *big = opaque_realloc(malloc(100000), 0);

	CHECK((small == NULL) == (big == NULL));
	if (small == NULL)
		return "freed";
	CHECK(small != big && malloc_usable_size(small) == 0 && malloc_usable_size(big) == 0);
	small = opaque_realloc(opaque_realloc(small, 0), 50);
	CHECK(small != NULL && malloc_usable_size(small) >= 50);
	free(small);
	free(big);
	return "object";
}

/* Closes all descriptors that it did not make, as a daemon does, and opens its own under their
 * numbers. Says which file it is. */
static void close_all(void)
{
	char of_its_own[] = "/tmp/face_probe_XXXXXX";
	int file = mkstemp(of_its_own);

	CHECK(file >= 0);
	for (int fd = 100; fd < 200; fd++)
		CHECK(dup2(file, fd) == fd);
	printf("%s\n", of_its_own);
}

static void use_much(void)
{
	void *volatile p = malloc(40 * MiB);

	CHECK(p != NULL);
	memset(p, 1, 40 * MiB);
	free(malloc(1 * MiB));
	free(p);
}

/* Uses much memory when its descriptor 2 is another file than standard error. Prints whether
 * somebody wrote to that file. */
static const char *reuse_stderr(void)
{
	char of_its_own[] = "/tmp/face_probe_XXXXXX";
	struct stat st;

	(void)close(2);
	CHECK(mkstemp(of_its_own) == 2 && unlink(of_its_own) == 0);
	use_much();
	CHECK(fstat(2, &st) == 0);
	return st.st_size == 0 ? "ok" : "written";
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	allocate_and_free();
	if (strcmp(argv[1], "whose") == 0) {
		printf("%s\n", whose_malloc());
	} else if (strcmp(argv[1], "all") == 0) {
		call_them_all();
		printf("ok\n");
	} else if (strcmp(argv[1], "close_stderr") == 0) {
		CHECK(atexit(close_stdio) == 0);
		printf("ok\n");
	} else if (strcmp(argv[1], "realloc_zero") == 0) {
		printf("%s\n", realloc_to_zero());
	} else if (strcmp(argv[1], "names") == 0) {
		printf("%s\n", names_of_mappings());
	} else if (strcmp(argv[1], "chdir") == 0) {
		CHECK(chdir("/") == 0);
		printf("ok\n");
	} else if (strcmp(argv[1], "child") == 0) {
		pid_t child = fork();

		CHECK(child >= 0 && (child == 0 || waitpid(child, NULL, 0) == child));
		if (child != 0)
			printf("%d\n", (int)child);
	} else if (strcmp(argv[1], "close_all") == 0) {
		close_all();
	} else if (strcmp(argv[1], "use_much") == 0) {
		use_much();
		printf("ok\n");
	} else if (strcmp(argv[1], "reuse_stderr") == 0) {
		printf("%s\n", reuse_stderr());
	} else if (strcmp(argv[1], "freed") == 0) {
		printf("%s\n", unchanged_after_free() < 16 ? "clobbered" : "kept");
	} else {
		printf("ok\n");
	}
	return 0;
}
