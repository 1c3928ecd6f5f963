/* SPDX-License-Identifier: MIT */
/* handles_lib.h - see handles_lib.c. */
#include <stddef.h>

/* Call malloc and free as dlsym(RTLD_NEXT) finds them in the library. */
void *handles_malloc(size_t n);
void handles_free(void *p);
