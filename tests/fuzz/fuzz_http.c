/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http.c - any bytes as the head of a request are read without harm. What is accepted is a
 * path that can be compared and printed, and nothing shorter would have been accepted.
 */
#include "view/http.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_printable(const char *text)
{
	for (; *text != '\0'; text++)
		CHECK(*text > ' ' && *text <= '~');
}

/* Parses a copy that ends where its memory ends, so that a sanitizer notices one byte too many. */
static int parse(const char *bytes, size_t n, bool local, struct http_request *r)
{
	char *copy = malloc(n + (n == 0));
	CHECK(copy != NULL);
	memcpy(copy, bytes, n);
	int status = http_parse(copy, n, local, r);
	free(copy);
	return status;
}

static void check(const char *bytes, size_t n)
{
	struct http_request r, part;
	int status = parse(bytes, n, false, &r);
	int local = parse(bytes, n, true, &part);

	CHECK(local == status || (status == 200 && local == 421));
	CHECK(status == 0 || (status >= 200 && strcmp(http_reason(status), "Error") != 0));
	CHECK(status != 0 || n < HTTP_HEAD_MAX);
	if (status != 200)
		return;
	CHECK(r.path[0] == '/' && strchr(r.path, '?') == NULL);
	check_printable(r.path);
	check_printable(r.query);
	/* The head of a request has one end. */
	size_t end = 0;
	while (end < n && parse(bytes, end, false, &part) == 0)
		end++;
	CHECK(parse(bytes, end, false, &part) == 200);
	CHECK(strcmp(part.path, r.path) == 0 && strcmp(part.query, r.query) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char head[HTTP_HEAD_MAX];
	const char *bytes = (const char *)data;

	if (n > HTTP_HEAD_MAX)
		n = HTTP_HEAD_MAX;
	check(bytes, n);
	/* Random bytes seldom are a request: they become the target and the fields of one. */
	int target = (int)(n < 60 ? n : n % 60);
	int length = snprintf(head, sizeof(head), "GET /%.*s HTTP/1.1\r\nHost: localhost\r\n",
			      target, bytes);
	size_t rest = n - (size_t)target, room = sizeof(head) - (size_t)length - 4;
	rest = rest < room ? rest : room;
	memcpy(head + length, bytes + target, rest);
	memcpy(head + length + rest, "\r\n\r\n", 4);
	check(head, (size_t)length + rest + 4);
	return 0;
}
