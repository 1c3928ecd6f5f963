/* SPDX-License-Identifier: MIT */
/*
 * test_refusals.c - the kernel refuses the library's n-th mmap, munmap, madvise, mprotect or
 * mremap, alone or with all that follow. A program whose malloc returns NULL and ENOMEM goes on,
 * and has all that it wants when the kernel grants again.
 *
 * A child's memory calls wait for a supervisor, which is this process and answers for the kernel
 * (seccomp_unotify(2)). It knows the library's calls by the address that they come from.
 *
 * Usage: test_refusals [all]; with "all", for every n = 1 .. 200. The exit status is 77 where the
 * system has no such filter.
 */
#include "face.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SKIPPED = 77, MAX_N = 200, OBJECTS = 100, STEPS = 500 };

static const int calls[] = { SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect, SYS_mremap };
static const char *const names[] = {
	"mmap", "munmap", "madvise", "mprotect", "mremap", "any call"
};
enum { NCALLS = sizeof(calls) / sizeof(calls[0]), ANY_CALL = NCALLS };

struct plan {
	unsigned call;    /* of calls[], or ANY_CALL */
	unsigned n;
	bool all_after;
};

/* Memory that the child shares with its supervisor. */
static struct {
	_Atomic bool granted;       /* the child: from now on nothing is to be refused */
	_Atomic unsigned refused;
	_Atomic unsigned nulls;
} *shared;

/* --- the program --- */

struct object {
	unsigned char *p;
	size_t n;
};

static bool may_be_null;    /* written while one thread runs */

static size_t any_size(uint64_t *rng)
{
	uint64_t r = rng_next(rng);

	switch (r % 24) {
	case 0:
		return 0;
	case 1:
	case 2:
		return (r >> 16) % (400 * KiB);
	case 3:
		return MiB + (r >> 16) % (2 * MiB);
	case 4:
		return r >> 16 & 15 ? 24 : 40 * MiB;
	default:
		return rng_mixed_size(rng);
	}
}

static bool answered(const void *p)
{
	if (p != NULL)
		return true;
	CHECK(errno == ENOMEM && may_be_null);
	atomic_fetch_add(&shared->nulls, 1);
	return false;
}

static void make(struct object *o, uint64_t *rng)
{
	o->n = any_size(rng);
	errno = 0;
	switch (rng_next(rng) >> 8 & 3) {
	case 0:
		o->p = calloc(1, o->n);
		for (size_t i = 0; o->p != NULL && i < o->n; i += 4095)
			CHECK(o->p[i] == 0);
		break;
	case 1:
		o->p = memalign(256, o->n);
		CHECK((uintptr_t)o->p % 256 == 0);
		break;
	default:
		o->p = malloc(o->n);
		break;
	}
	if (answered(o->p))
		face_object_fill(o->p, o->n, 5);
}

static void resize(struct object *o, uint64_t *rng)
{
	size_t n = any_size(rng) + 1;
	unsigned char *p;

	CHECK(face_object_intact(o->p, o->n, 5));
	errno = 0;
	p = realloc(o->p, n);
	if (!answered(p)) {
		CHECK(face_object_intact(o->p, o->n, 5));
		return;
	}
	o->p = p;
	o->n = n;
	face_object_fill(p, n, 5);
}

static void drop(struct object *o)
{
	CHECK(face_object_intact(o->p, o->n, 5));
	free(o->p);
	o->p = NULL;
}

static void *work(void *arg)
{
	struct object objects[OBJECTS] = { { NULL, 0 } };
	uint64_t rng = (uint64_t)(uintptr_t)arg * 77777;

	for (int step = 0; step < STEPS; step++) {
		struct object *o = &objects[(rng_next(&rng) >> 20) % OBJECTS];

		if (o->p == NULL)
			make(o, &rng);
		else if (rng_next(&rng) >> 20 & 1)
			resize(o, &rng);
		else
			drop(o);
		if (step % 60 == 0)
			(void)malloc_trim(0);
	}
	for (int i = 0; i < OBJECTS; i++)
		if (objects[i].p != NULL)
			drop(&objects[i]);
	return NULL;
}

static void work_in_threads(unsigned first)
{
	pthread_t thread[2];
	unsigned started = 0;

	for (unsigned i = 0; i < 2; i++) {
		/* libc allocates for a thread, too. */
		if (pthread_create(&thread[started], NULL, work, (void *)(uintptr_t)(first + i)) ==
		    0)
			started++;
		else
			CHECK(may_be_null);
	}
	(void)work((void *)(uintptr_t)(first + 2));
	for (unsigned i = 0; i < started; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static void program(const struct plan *plan)
{
	may_be_null = true;
	/* One thread, or three. */
	if (plan->n % 2 == 0)
		work_in_threads(plan->n);
	else
		(void)work((void *)(uintptr_t)plan->n);
	atomic_store(&shared->granted, true);
	may_be_null = false;
	work_in_threads(plan->n + 10);
	(void)malloc_trim(0);
	CHECK_LE(mallinfo2().uordblks, 64 * KiB);
	/* Free memory is not only counted: there is one span of all of it, but for what records and
	 * libc have. */
	CHECK_LE(mallinfo2().arena - mallinfo2().fordblks, MiB);
}

/* --- the child, and its supervisor --- */

static int install_filter(void)
{
	struct sock_filter code[NCALLS + 3];
	struct sock_fprog filter = { .len = NCALLS + 3, .filter = code };
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < NCALLS; i++)
		code[n++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
						     (unsigned char)(NCALLS - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &filter);
}

union fd_message {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_fd(int sock, int fd)
{
	union fd_message control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	CHECK(sendmsg(sock, &msg, 0) == 1);
}

/* Returns the descriptor that the child sends, or -1 when the child ended without sending one. */
static int receive_fd(int sock)
{
	union fd_message control;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&msg) == NULL)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Returns whether the library makes this call, and whether the plan counts it. */
static bool is_meant(const struct seccomp_data *data, const struct plan *plan)
{
	Dl_info library, caller;

	/* The child has this process's address space, as it was when it began. */
	return dladdr(face_sym("malloc"), &library) != 0 &&
	       dladdr((const void *)(uintptr_t)data->instruction_pointer, &caller) != 0 &&
	       library.dli_fbase == caller.dli_fbase &&
	       (plan->call == ANY_CALL || data->nr == calls[plan->call]);
}

/* Answers the child's calls until it has ended. */
static void supervise(int listener, const struct plan *plan)
{
	unsigned seen = 0;

	for (;;) {
		struct pollfd ready = { listener, POLLIN, 0 };
		struct seccomp_notif call;
		struct seccomp_notif_resp answer;

		if (poll(&ready, 1, -1) < 0) {
			CHECK(errno == EINTR);
			continue;
		}
		if ((ready.revents & POLLIN) == 0)
			return;
		memset(&call, 0, sizeof(call));
		/* The caller may be gone: the process was ended. */
		if (syscall(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
			continue;
		memset(&answer, 0, sizeof(answer));
		answer.id = call.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (!atomic_load(&shared->granted) && is_meant(&call.data, plan)) {
			seen++;
			if (seen == plan->n || (seen > plan->n && plan->all_after)) {
				answer.flags = 0;
				answer.error = -ENOMEM;
				atomic_fetch_add(&shared->refused, 1);
			}
		}
		(void)syscall(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

/* Runs one plan. Returns false when the plan refused nothing, because there were fewer calls
 * than n. */
static bool run(const struct plan *plan)
{
	unsigned before = atomic_load(&shared->refused);
	int sock[2], listener, status;
	pid_t pid;

	atomic_store(&shared->granted, false);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(60);
		listener = install_filter();
		if (listener < 0)
			_exit(SKIPPED);
		send_fd(sock[1], listener);
		CHECK(close(listener) == 0);
		program(plan);
		_exit(0);
	}
	CHECK(close(sock[1]) == 0);
	listener = receive_fd(sock[0]);
	if (listener >= 0) {
		supervise(listener, plan);
		CHECK(close(listener) == 0);
	}
	CHECK(close(sock[0]) == 0);
	status = child_wait(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("skipped: the system has no filter that asks another process\n");
		exit(SKIPPED);
	}
	if (status != 0) {
		fprintf(stderr, "%s, n = %u%s: status %#x\n", names[plan->call], plan->n,
			plan->all_after ? " and all after it" : "", (unsigned)status);
		exit(1);
	}
	return atomic_load(&shared->refused) != before;
}

int main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0;
	unsigned runs = 0;

	CHECK(face_malloc_is_goalloc());
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(shared != MAP_FAILED);
	for (unsigned call = 0; call <= ANY_CALL; call++) {
		unsigned misses = 0;

		/* One thread makes fewer calls than three: the end is where neither makes so
		 * many. */
		for (unsigned n = 1, kind = 0; n <= MAX_N && misses < 2;
		     n += all ? 1 : 1 + n / 2, kind++) {
			struct plan plan = { call, n, kind % 2 == 1 };

			runs++;
			misses = run(&plan) ? 0 : misses + 1;
			if (!all || misses != 0)
				continue;
			plan.all_after = !plan.all_after;
			runs++;
			(void)run(&plan);
		}
	}
	printf("%u runs, %u calls refused, NULL %u times\n", runs, atomic_load(&shared->refused),
	       atomic_load(&shared->nulls));
	CHECK(atomic_load(&shared->nulls) != 0);
	return 0;
}
