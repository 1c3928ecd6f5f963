/* SPDX-License-Identifier: MIT */
/*
 * http.c - reads the head of an HTTP request, from whoever sent it.
 *
 * Only what the page and its tools need is understood: GET and HEAD of a path, HTTP/1.0 and 1.1,
 * and two fields. Whatever else is well formed is skipped; what is not well formed gets a status.
 *
 * Two fields keep other sites out, whose pages may make the user's browser ask this machine. Host
 * names what the browser was told to ask: a name that leads to a loopback address by a trick of its
 * name server is none of ours. Sec-Fetch-Site tells that the page that asks comes from elsewhere.
 */
#include "view/http.h"

#include <string.h>
#include <strings.h>

/* A piece of the head. */
struct piece {
	const char *bytes;
	size_t length;
};

static bool is(struct piece p, const char *word)
{
	return p.length == strlen(word) && strncasecmp(p.bytes, word, p.length) == 0;
}

/* Returns whether a byte can stand in a method or in a field's name. */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool all_token(struct piece p)
{
	for (size_t i = 0; i < p.length; i++) {
		if (!is_token(p.bytes[i]))
			return false;
	}
	return p.length > 0;
}

/* Takes the next line of *rest, without its end. Returns false if its end is not there yet. */
static bool take_line(struct piece *rest, struct piece *line)
{
	const char *end = memchr(rest->bytes, '\n', rest->length);
	if (end == NULL)
		return false;
	line->bytes = rest->bytes;
	line->length = (size_t)(end - rest->bytes);
	rest->bytes += line->length + 1;
	rest->length -= line->length + 1;
	if (line->length > 0 && line->bytes[line->length - 1] == '\r')
		line->length--;
	return true;
}

/* Takes what stands before the next blank of the line. */
static struct piece take_word(struct piece *line)
{
	const char *end = memchr(line->bytes, ' ', line->length);
	struct piece word = { line->bytes, end ? (size_t)(end - line->bytes) : line->length };
	size_t used = word.length + (end != NULL);
	line->bytes += used;
	line->length -= used;
	return word;
}

/* Copies a piece as a string. Returns false if it has no room. */
static bool copy(char *to, size_t room, struct piece p)
{
	if (p.length >= room)
		return false;
	memcpy(to, p.bytes, p.length);
	to[p.length] = '\0';
	return true;
}

/* Reads the path and the query. Returns 200 or another status. */
static int parse_target(struct piece target, struct http_request *r)
{
	for (size_t i = 0; i < target.length; i++) {
		if (target.bytes[i] <= ' ' || target.bytes[i] > '~')
			return 400;
	}
	if (target.length == 0 || target.bytes[0] != '/')
		return 400;
	const char *mark = memchr(target.bytes, '?', target.length);
	struct piece path = { target.bytes, mark ? (size_t)(mark - target.bytes) : target.length };
	struct piece query = { target.bytes + target.length, 0 };
	if (mark != NULL) {
		query.bytes = mark + 1;
		query.length = target.length - path.length - 1;
	}
	if (!copy(r->path, sizeof(r->path), path) || !copy(r->query, sizeof(r->query), query))
		return 414;
	return 200;
}

/* Reads the first line. Returns 200 or another status, and whether the version wants a host. */
static int parse_first(struct piece line, struct http_request *r, bool *wants_host)
{
	struct piece method = take_word(&line), target = take_word(&line);
	if (!all_token(method))
		return 400;
	bool known = method.length <= 4 && (memcmp(method.bytes, "GET ", method.length + 1) == 0 ||
		memcmp(method.bytes, "HEAD ", method.length + 1) == 0);
	r->head = known && method.length == 4;
	if (line.length != 8 || memcmp(line.bytes, "HTTP/", 5) != 0)
		return 400;
	if (memcmp(line.bytes + 5, "1.", 2) != 0 || line.bytes[7] < '0' || line.bytes[7] > '9')
		return 505;
	*wants_host = line.bytes[7] != '0';
	return known ? parse_target(target, r) : 405;
}

/* Returns whether a host, with or without a port, is this machine. */
static bool is_local(struct piece host)
{
	size_t end = host.length;
	while (end > 0 && host.bytes[end - 1] >= '0' && host.bytes[end - 1] <= '9')
		end--;
	if (end > 0 && end < host.length && host.bytes[end - 1] == ':')
		host.length = end - 1;
	if (is(host, "localhost") || is(host, "[::1]"))
		return true;
	if (host.length < 9 || host.length > 15 || memcmp(host.bytes, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < host.length; i++) {
		if (host.bytes[i] != '.' && (host.bytes[i] < '0' || host.bytes[i] > '9'))
			return false;
	}
	return true;
}

/* Splits a field into name and value. Returns false if it is none. */
static bool parse_field(struct piece line, struct piece *name, struct piece *value)
{
	for (size_t i = 0; i < line.length; i++) {
		unsigned char c = (unsigned char)line.bytes[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	const char *colon = memchr(line.bytes, ':', line.length);
	if (colon == NULL)
		return false;
	*name = (struct piece){ line.bytes, (size_t)(colon - line.bytes) };
	*value = (struct piece){ colon + 1, line.length - name->length - 1 };
	while (value->length > 0 && (*value->bytes == ' ' || *value->bytes == '\t')) {
		value->bytes++;
		value->length--;
	}
	while (value->length > 0 && (value->bytes[value->length - 1] == ' ' ||
				     value->bytes[value->length - 1] == '\t'))
		value->length--;
	return all_token(*name);
}

int http_parse(const char *bytes, size_t nbytes, bool local, struct http_request *r)
{
	struct piece rest = { bytes, nbytes }, line;
	bool wants_host = false, has_host = false, wrong_host = false;
	*r = (struct http_request){ .head = false };
	/* What is no request at all, as the beginning of TLS, never gets a second line. */
	if (nbytes > 0 && !is_token(bytes[0]))
		return 400;
	if (!take_line(&rest, &line))
		return nbytes < HTTP_HEAD_MAX ? 0 : 414;
	int status = parse_first(line, r, &wants_host);
	if (status != 200)
		return status;
	for (;;) {
		struct piece name, value;
		if (!take_line(&rest, &line))
			return nbytes < HTTP_HEAD_MAX ? 0 : 431;
		if (line.length == 0)
			break;
		if (!parse_field(line, &name, &value))
			return 400;
		if (is(name, "host")) {
			if (has_host)
				return 400;
			has_host = true;
			wrong_host = !is_local(value);
		} else if (is(name, "sec-fetch-site")) {
			r->foreign = !is(value, "same-origin") && !is(value, "none");
		}
	}
	if (wants_host && !has_host)
		return 400;
	return local && wrong_host ? 421 : 200;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *words;
	} reasons[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 410, "Gone" },
		{ 414, "URI Too Long" },
		{ 421, "Misdirected Request" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].words;
	}
	return "Error";
}
