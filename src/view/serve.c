/* SPDX-License-Identifier: MIT */
/*
 * serve.c - answers HTTP requests on a loopback address or a unix socket: one thread, one request a
 * connection, and bounds on everything that a client can make us keep.
 *
 *   connections   CLIENTS_MAX; above that, the client whose request is longest in coming is closed
 *   head          HTTP_HEAD_MAX bytes, within HEAD_SECONDS
 *   answer        a client that takes nothing for SEND_SECONDS is closed
 *   slow answers  one at a time, in a child process (job.c). A client that asks for the same one
 *                 waits for it, too. One that asks for another gets 503, and is told when to come
 *                 again. The child ends when no client waits.
 *   memory        answers that wait to be sent are shared: what is asked for again within
 *                 SHARE_MS gets the same bytes. Above BODIES_MAX bytes new requests get 503.
 *
 * After an answer the connection is closed for writing, and what the client still sends is read and
 * thrown away for a moment. A close before that would make the kernel take the answer back.
 */
#include "view/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "view/http.h"
#include "view/job.h"
#include "view/listener.h"

enum {
	CLIENTS_MAX = 128,
	HEAD_SECONDS = 10,
	SEND_SECONDS = 20,
	DRAIN_MS = 1000,
	DRAIN_MAX = 1 << 20,
	SHARE_MS = 200,
	ENDED_SECONDS = 5,
	RETRY_SECONDS = 2,
};

static const size_t BODIES_MAX = (size_t)512 << 20;

/* An answer, without the head. It lives as long as somebody holds it. */
struct body {
	char *bytes;
	size_t length;
	const char *type;
	char own_type[64];       /* what `type` is, of a slow answer */
	int status;
	int holders;
	int64_t made_ms;
	char target[HTTP_PATH_MAX + HTTP_QUERY_MAX];
};

enum client_state { READS, WAITS, SENDS, DRAINS };

struct client {
	int fd;
	enum client_state state;
	int64_t deadline_ms;
	size_t nread;            /* bytes in `head`; when it drains, bytes thrown away */
	size_t nhead, nsent;     /* of the answer */
	bool no_body;
	struct body *body;
	char head[HTTP_HEAD_MAX];/* the request's, then the answer's */
};

/* One per process: serve() is called once. */
static struct {
	const struct serve_site *site;
	struct listener listener;
	int nclients;
	size_t body_bytes;
	struct body *shared;     /* the last answer, or NULL */
	struct job job;          /* makes a slow answer */
	struct http_request job_request;
	int64_t ended_ms;        /* when the site ended, or 0 */
	struct client *clients[CLIENTS_MAX];
} server;

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void body_release(struct body *b)
{
	if (b == NULL || --b->holders > 0)
		return;
	server.body_bytes -= b->length;
	free(b->bytes);
	free(b);
}

/* Makes the answer to a target. Returns NULL if there is no memory for it; it then keeps none. */
static struct body *body_make(const struct http_request *r, const char *target)
{
	struct body *b = calloc(1, sizeof(*b));
	FILE *out = b != NULL ? open_memstream(&b->bytes, &b->length) : NULL;
	if (out == NULL) {
		free(b);
		return NULL;
	}
	b->type = "text/plain; charset=utf-8";
	if (server.ended_ms != 0) {
		b->status = 410;
		fputs("the process has ended\n", out);
	} else {
		b->status = server.site->answer(server.site->context, r->path, r->query, out,
						&b->type);
	}
	bool whole = ferror(out) == 0;
	if (fclose(out) != 0 || !whole) {
		free(b->bytes);
		free(b);
		return NULL;
	}
	strcpy(b->target, target);
	b->holders = 1;
	b->made_ms = now_ms();
	server.body_bytes += b->length;
	return b;
}

/* Returns a short answer that is an error. */
static struct body *body_error(int status, const char *why)
{
	struct body *b = calloc(1, sizeof(*b));
	if (b == NULL || asprintf(&b->bytes, "%s\n", why ? why : http_reason(status)) < 0) {
		free(b);
		return NULL;
	}
	b->length = strlen(b->bytes);
	b->type = "text/plain; charset=utf-8";
	b->status = status;
	b->holders = 1;
	server.body_bytes += b->length;
	return b;
}

/* --- slow answers --- */

static bool is_slow(const struct http_request *r)
{
	return server.ended_ms == 0 && server.site->is_slow != NULL &&
	       server.site->is_slow(server.site->context, r->path, r->query);
}

/* Makes the slow answer, in the child. */
static int make_slow(void *context, FILE *out, const char **type)
{
	const struct http_request *r = context;
	return server.site->answer(server.site->context, r->path, r->query, out, type);
}

/* Sees to it that the slow answer to a request is being made. Returns NULL with *waits set, or what
 * is answered at once. */
static struct body *begin_slow(const struct http_request *r, bool *waits)
{
	int closes[CLIENTS_MAX + 1];
	size_t n = 0;
	char why[HTTP_PATH_MAX + HTTP_QUERY_MAX + 80];
	*waits = server.job.pid != 0 && strcmp(server.job_request.path, r->path) == 0 &&
		 strcmp(server.job_request.query, r->query) == 0;
	if (*waits)
		return NULL;
	if (server.job.pid != 0) {
		snprintf(why, sizeof(why), "%s%s%s is being made; ask again when it is done",
			 server.job_request.path, server.job_request.query[0] ? "?" : "",
			 server.job_request.query);
		return body_error(503, why);
	}
	for (int i = 0; i < server.nclients; i++)
		closes[n++] = server.clients[i]->fd;
	closes[n++] = server.listener.fd;
	server.job_request = *r;
	*waits = job_start(&server.job, make_slow, &server.job_request, closes, n);
	return *waits ? NULL : body_error(503, strerror(errno));
}

/* Takes the slow answer, or what says that there is none. */
static struct body *end_slow(void)
{
	struct job_answer answer;
	if (!job_end(&server.job, &answer))
		return body_error(500, "the answer could not be made: too little memory, perhaps");
	struct body *b = calloc(1, sizeof(*b));
	if (b == NULL) {
		free(answer.text);
		return NULL;
	}
	b->bytes = answer.text;
	b->length = answer.length;
	memcpy(b->own_type, answer.type, sizeof(b->own_type));
	b->type = b->own_type;
	b->status = answer.status;
	b->holders = 1;
	server.body_bytes += b->length;
	return b;
}

/* --- clients --- */

/* Returns the answer to a request: the last one again, if it is the same and new. Returns NULL with
 * *waits set if the answer comes later, and NULL without it if there is no memory. */
static struct body *body_for(const struct http_request *r, bool *waits)
{
	char target[sizeof(server.shared->target)];
	snprintf(target, sizeof(target), "%s?%s", r->path, r->query);
	if (r->foreign && strcmp(r->path, "/") != 0)
		return body_error(403, "a page of another site asked for this");
	struct body *last = server.shared;
	if (last != NULL && strcmp(last->target, target) == 0 &&
	    now_ms() - last->made_ms < SHARE_MS) {
		last->holders++;
		return last;
	}
	server.shared = NULL;
	body_release(last);
	if (server.body_bytes > BODIES_MAX)
		return body_error(503, "too many answers wait for slow clients");
	if (is_slow(r))
		return begin_slow(r, waits);
	struct body *b = body_make(r, target);
	if (b == NULL)
		return body_error(500, "not enough memory for the answer");
	if (b->status == 200) {
		server.shared = b;
		b->holders++;
	}
	return b;
}

static void client_close(int i)
{
	struct client *c = server.clients[i];
	close(c->fd);
	body_release(c->body);
	free(c);
	server.clients[i] = server.clients[--server.nclients];
}

/* Fills in the head of the answer, where the head of the request was. */
static void client_answer(struct client *c, struct body *b, bool no_body)
{
	c->body = b;
	c->no_body = no_body;
	c->state = SENDS;
	c->nsent = 0;
	c->deadline_ms = now_ms() + SEND_SECONDS * 1000;
	char retry[40];
	snprintf(retry, sizeof(retry), "Retry-After: %d\r\n", RETRY_SECONDS);
	bool html = strncmp(b->type, "text/html", 9) == 0;
	c->nhead = (size_t)snprintf(c->head, sizeof(c->head),
		"HTTP/1.1 %d %s\r\n"
		"Content-Type: %s\r\n"
		"Content-Length: %zu\r\n"
		"Cache-Control: no-store\r\n"
		"Connection: close\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Cross-Origin-Resource-Policy: same-origin\r\n"
		"Referrer-Policy: no-referrer\r\n"
		"%s%s%s\r\n",
		b->status, http_reason(b->status), b->type, b->length,
		b->status == 405 ? "Allow: GET, HEAD\r\n" : "",
		b->status == 503 ? retry : "",
		html ? "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; "
		       "style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
		       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n" : "");
}

/* Reads what came of a request. Returns false if the client is to be closed. */
static bool client_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->head + c->nread, sizeof(c->head) - c->nread, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	c->nread += (size_t)n;
	struct http_request r;
	int status = http_parse(c->head, c->nread, server.listener.path == NULL, &r);
	if (status == 0)
		return true;
	const char *why = status == 421 ? "the host of this server is 127.0.0.1 or localhost" :
			  NULL;
	bool waits = false;
	struct body *b = status == 200 ? body_for(&r, &waits) : body_error(status, why);
	if (waits) {
		c->state = WAITS;
		c->no_body = r.head;
		c->deadline_ms = INT64_MAX;
		return true;
	}
	if (b == NULL)
		return false;
	client_answer(c, b, r.head);
	return true;
}

/* Sends what the client takes. Returns false if it is to be closed. */
static bool client_send(struct client *c)
{
	size_t end = c->nhead + (c->no_body ? 0 : c->body->length);
	while (c->nsent < end) {
		bool head = c->nsent < c->nhead;
		const char *from = head ? c->head + c->nsent :
					  c->body->bytes + (c->nsent - c->nhead);
		size_t left = head ? c->nhead - c->nsent : end - c->nsent;
		ssize_t n = send(c->fd, from, left, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->nsent += (size_t)n;
		c->deadline_ms = now_ms() + SEND_SECONDS * 1000;
	}
	body_release(c->body);
	c->body = NULL;
	c->state = DRAINS;
	c->nread = 0;
	c->deadline_ms = now_ms() + DRAIN_MS;
	return shutdown(c->fd, SHUT_WR) == 0;
}

/* Throws away what a client sends that waits, or has its answer. Returns false when the client has
 * closed, or sends too much. */
static bool client_drain(struct client *c)
{
	ssize_t n = recv(c->fd, c->head, sizeof(c->head), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->nread += (size_t)n;
	return n > 0 && c->nread < DRAIN_MAX;
}

/* Does for a client what poll() found. Returns false if it is to be closed. */
static bool client_serve(struct client *c, short events)
{
	if (events & POLLIN && c->state == READS && !client_read(c))
		return false;
	/* An answer mostly goes out at once. */
	if (c->state == SENDS && !client_send(c))
		return false;
	if (events & POLLIN && (c->state == WAITS || c->state == DRAINS) && !client_drain(c))
		return false;
	return (events & (POLLERR | POLLNVAL)) == 0;
}

/* Answers or closes a client whose time is over. Returns false if it is to be closed. */
static bool client_expire(struct client *c)
{
	if (c->state != READS || c->nread == 0)
		return false;
	struct body *b = body_error(408, "the request did not end");
	if (b == NULL)
		return false;
	client_answer(c, b, false);
	return client_send(c);
}

/* Closes the client that has waited longest in the given state. Returns false if there is none. */
static bool close_oldest(enum client_state state)
{
	int oldest = -1;
	for (int i = 0; i < server.nclients; i++) {
		struct client *c = server.clients[i];
		if (c->state == state && (oldest < 0 ||
		    c->deadline_ms < server.clients[oldest]->deadline_ms))
			oldest = i;
	}
	if (oldest >= 0)
		client_close(oldest);
	return oldest >= 0;
}

static void accept_clients(void)
{
	for (;;) {
		int fd = accept4(server.listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (server.nclients == CLIENTS_MAX && !close_oldest(DRAINS) &&
		    !close_oldest(READS)) {
			close(fd);
			continue;
		}
		struct client *c = malloc(sizeof(*c));
		if (c == NULL) {
			close(fd);
			continue;
		}
		c->fd = fd;
		c->state = READS;
		c->nread = 0;
		c->body = NULL;
		c->deadline_ms = now_ms() + HEAD_SECONDS * 1000;
		server.clients[server.nclients++] = c;
	}
}

/* Serves and closes the clients. polled[i] belongs to client i. */
static void serve_clients(const struct pollfd *polled)
{
	int64_t now = now_ms();
	/* From the last on: closing one moves the last to its place. */
	for (int i = server.nclients - 1; i >= 0; i--) {
		struct client *c = server.clients[i];
		bool stays = client_serve(c, polled[i].revents);
		if (stays && now > c->deadline_ms)
			stays = client_expire(c);
		if (!stays)
			client_close(i);
	}
}

/* Gives the slow answer to those that wait for it, when it is there. Ends it when nobody waits. */
static void serve_slow(bool readable)
{
	int waiting = 0;
	if (server.job.pid == 0)
		return;
	for (int i = 0; i < server.nclients; i++)
		waiting += server.clients[i]->state == WAITS;
	if (waiting == 0) {
		job_end(&server.job, NULL);
		return;
	}
	if (!readable || !job_read(&server.job))
		return;
	struct body *b = end_slow();
	for (int i = server.nclients - 1; i >= 0; i--) {
		struct client *c = server.clients[i];
		if (c->state != WAITS)
			continue;
		if (b != NULL) {
			b->holders++;
			client_answer(c, b, c->no_body);
		}
		if (b == NULL || !client_send(c))
			client_close(i);
	}
	body_release(b);
}

/* Waits for something to do. Returns the signal that ends the server, or 0. */
static int serve_once(int signals)
{
	static struct pollfd polled[CLIENTS_MAX + 3];
	for (int i = 0; i < server.nclients; i++) {
		struct client *c = server.clients[i];
		polled[i] = (struct pollfd){ c->fd, c->state == SENDS ? POLLOUT : POLLIN, 0 };
	}
	int n = server.nclients;
	polled[n] = (struct pollfd){ server.listener.fd, POLLIN, 0 };
	polled[n + 1] = (struct pollfd){ signals, POLLIN, 0 };
	/* Negative descriptors are passed over. */
	polled[n + 2] = (struct pollfd){ server.job.pid != 0 ? server.job.fd : -1, POLLIN, 0 };
	if (poll(polled, (nfds_t)n + 3, 500) < 0)
		return 0;
	struct signalfd_siginfo info;
	if (polled[n + 1].revents != 0 && read(signals, &info, sizeof(info)) == sizeof(info))
		return (int)info.ssi_signo;
	serve_clients(polled);
	serve_slow(polled[n + 2].revents != 0);
	if (polled[n].revents != 0)
		accept_clients();
	return 0;
}

/* Notices the end of the site. Returns whether the server goes on. */
static bool goes_on(void)
{
	if (server.ended_ms == 0 && !server.site->lasts(server.site->context)) {
		server.ended_ms = now_ms();
		body_release(server.shared);
		server.shared = NULL;
	}
	return server.ended_ms == 0 || now_ms() - server.ended_ms < ENDED_SECONDS * 1000;
}

int serve(const char *where, const struct serve_site *site)
{
	sigset_t stops;
	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	server.site = site;
	int status = listener_open(&server.listener, where);
	if (status != 0)
		return status;
	int signals = signalfd(-1, &stops, SFD_CLOEXEC);
	if (signals < 0) {
		perror("goalloc-view: signalfd");
		listener_close(&server.listener);
		return 1;
	}
	sigprocmask(SIG_BLOCK, &stops, NULL);
	printf("goalloc-view: %s at %s\n", site->name, server.listener.url);
	fflush(stdout);
	while (serve_once(signals) == 0 && goes_on())
		continue;
	if (server.ended_ms != 0)
		fprintf(stderr, "goalloc-view: %s: the process has ended\n", site->name);
	if (server.job.pid != 0)
		job_end(&server.job, NULL);
	while (server.nclients > 0)
		client_close(server.nclients - 1);
	body_release(server.shared);
	listener_close(&server.listener);
	close(signals);
	return 0;
}
