/* SPDX-License-Identifier: MIT */
/*
 * interpose_token.c - the face for programs that clang instruments with allocation tokens
 * (-fsanitize=alloc-token).
 *
 * In such a program the compiler turns malloc(n) into __alloc_token_malloc(n, token), or in its
 * fast ABI into __alloc_token_0_malloc(n). It does so with every function of the list below.
 *
 * Token 0 stands for noscan memory, and any other token for memory that may hold pointers. With
 * -falloc-token-max=2 the compiler gives 0 to types without pointers and 1 to types with pointers.
 * Types that it does not know get 2 with -mllvm -alloc-token-fallback=2, otherwise 0. Ids 0 to 2
 * have names in the fast ABI.
 *
 * Holds    of operator new, the one attempt for noscan memory is here. All else is left to the
 *          plain form: the new handler, the exception, the program's own operator. An object from
 *          there may hold pointers.
 */
#include "face/program.h"
#include "face/interpose_cxx.h"

#define BARE(...) __VA_ARGS__

/* Defines program_NAME(). replaced tells whether the program has its own form of this operator, or
 * of one that the plain form calls. If so, or if malloc is the program's, the plain form serves. */
#define FACE_NEW(name, params, args, replaced, attempt) \
	FAST_PATH void *program_##name(BARE params, enum scan scan) \
	{ \
		void *p = scan == SCAN || replaced || !malloc_is_ours() ? NULL : attempt; \
\
		return LIKELY(p != NULL) ? p : name args; \
	}

/* The parameters of the forms of operator new, and the same as arguments. */
#define PLAIN (size_t size)
#define NOTHROW (size_t size, const void *tag)
#define ALIGNED_PLAIN (size_t size, size_t align)
#define ALIGNED_NOTHROW (size_t size, size_t align, const void *tag)
#define PLAIN_ARGS (size)
#define NOTHROW_ARGS (size, tag)
#define ALIGNED_PLAIN_ARGS (size, align)
#define ALIGNED_NOTHROW_ARGS (size, align, tag)

FACE_NEW(_Znwm, PLAIN, PLAIN_ARGS, REPLACED(_Znwm), heap_malloc_noscan(size))
FACE_NEW(_Znam, PLAIN, PLAIN_ARGS, (REPLACED(_Znam) || REPLACED(_Znwm)), heap_malloc_noscan(size))
FACE_NEW(_ZnwmRKSt9nothrow_t, NOTHROW, NOTHROW_ARGS,
	 (REPLACED(_ZnwmRKSt9nothrow_t) || REPLACED(_Znwm)), heap_malloc_noscan(size))
FACE_NEW(_ZnamRKSt9nothrow_t, NOTHROW, NOTHROW_ARGS,
	 (REPLACED(_ZnamRKSt9nothrow_t) || REPLACED(_Znam) || REPLACED(_Znwm)),
	 heap_malloc_noscan(size))
FACE_NEW(_ZnwmSt11align_val_t, ALIGNED_PLAIN, ALIGNED_PLAIN_ARGS, REPLACED(_ZnwmSt11align_val_t),
	 aligned_or_null(size, align, NOSCAN))
FACE_NEW(_ZnamSt11align_val_t, ALIGNED_PLAIN, ALIGNED_PLAIN_ARGS,
	 (REPLACED(_ZnamSt11align_val_t) || REPLACED(_ZnwmSt11align_val_t)),
	 aligned_or_null(size, align, NOSCAN))
FACE_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, ALIGNED_NOTHROW, ALIGNED_NOTHROW_ARGS,
	 (REPLACED(_ZnwmSt11align_val_tRKSt9nothrow_t) || REPLACED(_ZnwmSt11align_val_t)),
	 aligned_or_null(size, align, NOSCAN))
FACE_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, ALIGNED_NOTHROW, ALIGNED_NOTHROW_ARGS,
	 (REPLACED(_ZnamSt11align_val_tRKSt9nothrow_t) || REPLACED(_ZnamSt11align_val_t) ||
	  REPLACED(_ZnwmSt11align_val_t)),
	 aligned_or_null(size, align, NOSCAN))

/* The functions that the compiler instruments: type, name, parameters, arguments. strdup and its
 * family stay as they are. */
#define TOKEN_FACES(FACE) \
	FACE(void *, malloc, (size_t size), (size)) \
	FACE(void *, calloc, (size_t n, size_t size), (n, size)) \
	FACE(void *, realloc, (void *p, size_t size), (p, size)) \
	FACE(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size)) \
	FACE(void *, aligned_alloc, (size_t align, size_t size), (align, size)) \
	FACE(void *, memalign, (size_t align, size_t size), (align, size)) \
	FACE(void *, valloc, (size_t size), (size)) \
	FACE(void *, pvalloc, (size_t size), (size)) \
	FACE(int, posix_memalign, (void **out, size_t align, size_t size), (out, align, size)) \
	FACE(void *, _Znwm, PLAIN, PLAIN_ARGS) \
	FACE(void *, _Znam, PLAIN, PLAIN_ARGS) \
	FACE(void *, _ZnwmRKSt9nothrow_t, NOTHROW, NOTHROW_ARGS) \
	FACE(void *, _ZnamRKSt9nothrow_t, NOTHROW, NOTHROW_ARGS) \
	FACE(void *, _ZnwmSt11align_val_t, ALIGNED_PLAIN, ALIGNED_PLAIN_ARGS) \
	FACE(void *, _ZnamSt11align_val_t, ALIGNED_PLAIN, ALIGNED_PLAIN_ARGS) \
	FACE(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, ALIGNED_NOTHROW, ALIGNED_NOTHROW_ARGS) \
	FACE(void *, _ZnamSt11align_val_tRKSt9nothrow_t, ALIGNED_NOTHROW, ALIGNED_NOTHROW_ARGS)

/* Define a function of each of the two ABIs: the token is the last argument, or part of the
 * name. */
#define FACE_WITH_TOKEN(type, name, params, args) \
	type __alloc_token_##name(BARE params, size_t token); \
	EXPORT type __alloc_token_##name(BARE params, size_t token) \
	{ \
		return program_##name(BARE args, token == 0 ? NOSCAN : SCAN); \
	}
#define FACE_OF_ID(id, type, name, params, args) \
	type __alloc_token_##id##_##name params; \
	EXPORT type __alloc_token_##id##_##name params \
	{ \
		return program_##name(BARE args, id == 0 ? NOSCAN : SCAN); \
	}
#define FACE_OF_ID_0(...) FACE_OF_ID(0, __VA_ARGS__)
#define FACE_OF_ID_1(...) FACE_OF_ID(1, __VA_ARGS__)
#define FACE_OF_ID_2(...) FACE_OF_ID(2, __VA_ARGS__)

TOKEN_FACES(FACE_WITH_TOKEN)
TOKEN_FACES(FACE_OF_ID_0)
TOKEN_FACES(FACE_OF_ID_1)
TOKEN_FACES(FACE_OF_ID_2)
