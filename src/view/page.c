/* SPDX-License-Identifier: MIT */
/*
 * page.c - writes the page that shows a heap in a browser, with its data inside if it is to be
 * kept.
 */
#include "view/page.h"

#include <stdlib.h>
#include <string.h>

/* Where the data go. */
static const char place[] = "<!--@DATA@-->";

/* Writes JSON so that it cannot end the element that it stands in: '<' occurs in strings alone. */
static void write_json(FILE *out, const char *json, size_t length)
{
	const char *end = json + length;
	while (json < end) {
		const char *less = memchr(json, '<', (size_t)(end - json));
		size_t n = (size_t)((less != NULL ? less : end) - json);
		fwrite(json, 1, n, out);
		if (less != NULL)
			fputs("\\u003c", out);
		json += n + (less != NULL);
	}
}

void page_write(FILE *out, const struct page_data *data, size_t ndata)
{
	const unsigned char *at = memmem(page_bytes, page_length, place, sizeof(place) - 1);
	if (at == NULL)
		abort();
	fwrite(page_bytes, 1, (size_t)(at - page_bytes), out);
	for (size_t i = 0; i < ndata; i++) {
		fprintf(out, "<script type=\"application/json\" data-name=\"%s\">", data[i].name);
		write_json(out, data[i].json, data[i].length);
		fputs("</script>\n", out);
	}
	at += sizeof(place) - 1;
	fwrite(at, 1, (size_t)(page_bytes + page_length - at), out);
}
