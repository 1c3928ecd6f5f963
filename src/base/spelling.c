/* SPDX-License-Identifier: MIT */
/*
 * spelling.c - how far a word is from the one that was meant.
 */
#include "base/spelling.h"
#include "base/text.h"

#define LONGEST_WORD 24

unsigned spelling_slips(const char *given, size_t n, const char *word)
{
	uint8_t d[LONGEST_WORD + 1][LONGEST_WORD + 1];
	size_t nword = string_length(word);

	if (n > LONGEST_WORD || nword > LONGEST_WORD)
		return LONGEST_WORD;
	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= nword; j++) {
			bool same = i > 0 && j > 0 && spelling_lower(given[i - 1]) == word[j - 1];
			size_t least = i + j;

			if (i > 0 && j > 0)
				least = min_size(d[i - 1][j - 1] + !same,
						 min_size(d[i - 1][j], d[i][j - 1]) + 1u);
			if (i > 1 && j > 1 && spelling_lower(given[i - 1]) == word[j - 2] &&
			    spelling_lower(given[i - 2]) == word[j - 1])
				least = min_size(least, d[i - 2][j - 2] + 1u);
			d[i][j] = (uint8_t)least;
		}
	return d[n][nword];
}
