/* SPDX-License-Identifier: MIT */
/*
 * gzip.c - writes a gzip file of blocks that are stored, not compressed.
 *
 * It is for readers that insist on the format: RFC 1952, with the blocks of RFC 1951, 3.2.4.
 *
 * Locks    none: a struct gzip belongs to its writer.
 * Holds    errno is kept.
 */
#include "tools/gzip.h"

void gzip_begin(struct gzip *z, int fd)
{
	/* deflate, no name, no time, Unix. */
	static const uint8_t header[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };

	out_init(&z->out, fd);
	z->crc = UINT32_MAX;
	z->total = 0;
	z->len = 0;
	out_bytes(&z->out, header, sizeof(header));
}

static void gzip_block(struct gzip *z, bool last)
{
	uint16_t len = (uint16_t)z->len;
	uint8_t header[5] = { last, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)~len,
			      (uint8_t)(~len >> 8) };

	out_bytes(&z->out, header, sizeof(header));
	out_bytes(&z->out, z->block, z->len);
	z->len = 0;
}

static uint32_t crc32_add(uint32_t crc, const uint8_t *p, size_t n)
{
	/* By half byte: the reflected polynomial 0xedb88320. */
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return crc;
}

void gzip_bytes(struct gzip *z, const void *p, size_t n)
{
	const uint8_t *from = p;

	z->crc = crc32_add(z->crc, from, n);
	z->total += (uint32_t)n;
	while (n != 0) {
		size_t part = min_size(n, GZIP_BLOCK - z->len);

		copy_bytes(z->block + z->len, from, part);
		z->len += part;
		from += part;
		n -= part;
		if (z->len == GZIP_BLOCK)
			gzip_block(z, false);
	}
}

static void put_le32(uint8_t *to, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

int gzip_end(struct gzip *z)
{
	uint8_t trailer[8];

	gzip_block(z, true);
	put_le32(trailer, ~z->crc);
	put_le32(trailer + 4, z->total);
	out_bytes(&z->out, trailer, sizeof(trailer));
	(void)out_flush(&z->out);
	return z->out.error;
}
