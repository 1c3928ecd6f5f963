/* SPDX-License-Identifier: MIT */
/*
 * note.h - an ELF note, by which other programs find a record of a process.
 */
#ifndef GOALLOC_NOTE_H
#define GOALLOC_NOTE_H

/* Puts a note of this owner and type among those that the program headers of a library or program
 * lead to, stripped or not. Its contents are 8 bytes: how far from them the hidden symbol is. */
#define NOTE_LEADING_TO(symbol, owner, type) \
	__asm__(".pushsection .note." owner ",\"a\",\"note\"\n" \
		".balign 4\n" \
		".4byte 992f - 991f, 994f - 993f, " #type "\n" \
		"991: .asciz \"" owner "\"\n" \
		".balign 4\n" \
		"992: .balign 4\n" \
		"993: .8byte " #symbol " - .\n" \
		"994: .balign 4\n" \
		".popsection\n")

#endif
