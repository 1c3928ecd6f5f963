/* SPDX-License-Identifier: MIT */
/*
 * listener.c - the socket on which goalloc-view waits for clients: a loopback address, or a unix
 * socket that only its owner may use.
 *
 * The page shows call stacks and sizes of another process, so that no other machine may ask. Every
 * user of this machine can connect to a loopback address; a unix socket of mode 0600 keeps them
 * out.
 */
#include "view/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int complain(int status, const char *where, const char *why)
{
	fprintf(stderr, "goalloc-view: --serve: cannot listen at '%s': %s\n", where, why);
	return status;
}

/* Returns the number of a port, or -1. */
static int port_of(const char *text)
{
	char *end;
	if (*text < '0' || *text > '9')
		return -1;
	long port = strtol(text, &end, 10);
	return *end == '\0' && port <= 65535 ? (int)port : -1;
}

/* An address of one of the two families. */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Reads HOST:PORT or PORT. Returns false if it is not a loopback address with a port. */
static bool read_address(const char *where, union address *a)
{
	char host[64] = "127.0.0.1";
	const char *colon = strrchr(where, ':');
	int port = port_of(colon != NULL ? colon + 1 : where);
	if (colon != NULL) {
		size_t length = (size_t)(colon - where);
		if (length == 0 || length >= sizeof(host))
			return false;
		memcpy(host, where, length);
		host[length] = '\0';
	}
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	memset(a, 0, sizeof(*a));
	if (strcmp(host, "[::1]") == 0) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_addr = in6addr_loopback;
		a->v6.sin6_port = htons((in_port_t)port);
		return port >= 0;
	}
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons((in_port_t)port);
	return port >= 0 && inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 &&
	       ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

static int open_address(struct listener *l, const char *where)
{
	union address a;
	if (!read_address(where, &a)) {
		return complain(2, where,
				"it takes 127.0.0.1:PORT, [::1]:PORT or unix:PATH, which no other "
				"machine can reach");
	}
	socklen_t length = a.any.sa_family == AF_INET ? sizeof(a.v4) : sizeof(a.v6);
	int on = 1;
	l->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(l->fd, &a.any, length) != 0 || listen(l->fd, 128) != 0 ||
	    getsockname(l->fd, &a.any, &length) != 0)
		return complain(1, where, strerror(errno));
	char host[INET6_ADDRSTRLEN];
	bool v4 = a.any.sa_family == AF_INET;
	inet_ntop(a.any.sa_family, v4 ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, host,
		  sizeof(host));
	snprintf(l->url, sizeof(l->url), v4 ? "http://%s:%d/" : "http://[%s]:%d/", host,
		 ntohs(v4 ? a.v4.sin_port : a.v6.sin6_port));
	return 0;
}

/* Removes a socket that a server left behind. Returns 0, or the errno of why it stays: what is no
 * socket is never touched, nor one that somebody serves. */
static int remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	if (lstat(a->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	int error = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ? EADDRINUSE : errno;
	close(fd);
	if (error != ECONNREFUSED)
		return error == EAGAIN ? EADDRINUSE : error;
	return unlink(a->sun_path) == 0 ? 0 : errno;
}

static int open_unix(struct listener *l, const char *where, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (*path == '\0' || strlen(path) >= sizeof(a.sun_path))
		return complain(2, where, *path ? "the path is too long" : "the path is missing");
	strcpy(a.sun_path, path);
	int error = remove_stale(&a);
	if (error != 0)
		return complain(1, where, strerror(error));
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return complain(1, where, strerror(errno));
	/* The mode holds from the first moment on. */
	mode_t before = umask(0177);
	bool bound = bind(l->fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	error = errno;
	umask(before);
	if (!bound)
		return complain(1, where, strerror(error));
	l->path = path;
	if (listen(l->fd, 128) != 0)
		return complain(1, where, strerror(errno));
	snprintf(l->url, sizeof(l->url), "%s", where);
	return 0;
}

int listener_open(struct listener *l, const char *where)
{
	*l = (struct listener){ .fd = -1 };
	int status = strncmp(where, "unix:", 5) == 0 ? open_unix(l, where, where + 5) :
		     open_address(l, where);
	if (status != 0)
		listener_close(l);
	return status;
}

void listener_close(struct listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->path != NULL)
		unlink(l->path);
	l->fd = -1;
	l->path = NULL;
}
