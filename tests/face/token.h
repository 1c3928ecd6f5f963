/* SPDX-License-Identifier: MIT */
/*
 * token.h - declares the entry points for clang's allocation tokens, and calls them by token,
 * whatever the ABI; C and C++.
 *
 * A TOKEN_ABI_ARG call has the token behind the arguments, and a TOKEN_ABI_NAME call has it in the
 * name.
 */
#ifndef FACE_TOKEN_H
#define FACE_TOKEN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#define TOKEN_NOTHROW noexcept
#else
#define TOKEN_NOTHROW
#endif

/* infix is empty, or "0_" and the like; last the token, if it is an argument. */
#define TOKEN_DECLARE(infix, ...)                                                             \
	void *__alloc_token_##infix##malloc(size_t __VA_ARGS__) TOKEN_NOTHROW;                \
	void *__alloc_token_##infix##calloc(size_t, size_t __VA_ARGS__) TOKEN_NOTHROW;        \
	void *__alloc_token_##infix##realloc(void *, size_t __VA_ARGS__) TOKEN_NOTHROW;       \
	void *__alloc_token_##infix##reallocarray(void *, size_t, size_t __VA_ARGS__)         \
		TOKEN_NOTHROW;                                                                \
	void *__alloc_token_##infix##aligned_alloc(size_t, size_t __VA_ARGS__) TOKEN_NOTHROW; \
	void *__alloc_token_##infix##memalign(size_t, size_t __VA_ARGS__) TOKEN_NOTHROW;      \
	void *__alloc_token_##infix##valloc(size_t __VA_ARGS__) TOKEN_NOTHROW;                \
	void *__alloc_token_##infix##pvalloc(size_t __VA_ARGS__) TOKEN_NOTHROW;               \
	int __alloc_token_##infix##posix_memalign(void **, size_t, size_t __VA_ARGS__)        \
		TOKEN_NOTHROW;                                                                \
	void *__alloc_token_##infix##_Znwm(size_t __VA_ARGS__);                               \
	void *__alloc_token_##infix##_Znam(size_t __VA_ARGS__);                               \
	void *__alloc_token_##infix##_ZnwmRKSt9nothrow_t(size_t, const void *__VA_ARGS__)     \
		TOKEN_NOTHROW;                                                                \
	void *__alloc_token_##infix##_ZnamRKSt9nothrow_t(size_t, const void *__VA_ARGS__)     \
		TOKEN_NOTHROW;                                                                \
	void *__alloc_token_##infix##_ZnwmSt11align_val_t(size_t, size_t __VA_ARGS__);        \
	void *__alloc_token_##infix##_ZnamSt11align_val_t(size_t, size_t __VA_ARGS__);        \
	void *__alloc_token_##infix##_ZnwmSt11align_val_tRKSt9nothrow_t(                      \
		size_t, size_t, const void *__VA_ARGS__) TOKEN_NOTHROW;                       \
	void *__alloc_token_##infix##_ZnamSt11align_val_tRKSt9nothrow_t(                      \
		size_t, size_t, const void *__VA_ARGS__) TOKEN_NOTHROW;

#define TOKEN_COMMA ,
TOKEN_DECLARE(, TOKEN_COMMA size_t)
TOKEN_DECLARE(0_)
TOKEN_DECLARE(1_)
TOKEN_DECLARE(2_)

#ifdef __cplusplus
}
#endif

enum token_abi { TOKEN_ABI_ARG, TOKEN_ABI_NAME };

/* call(malloc, abi, token, 100): tokens above 2 have no name, and go as an argument. */
#define TOKEN_CALL(name, abi, token, ...) \
	((abi) == TOKEN_ABI_ARG || (token) > 2 ? __alloc_token_##name(__VA_ARGS__, (token)) : \
	 (token) == 0 ? __alloc_token_0_##name(__VA_ARGS__) : \
	 (token) == 1 ? __alloc_token_1_##name(__VA_ARGS__) : __alloc_token_2_##name(__VA_ARGS__))

#endif
