/* SPDX-License-Identifier: MIT */
/*
 * test_replaced_new.cc - a program that replaces some of the twenty operators. By default all
 * others must call the replaced ones, as [new.delete] says.
 *
 * A replaced operator puts a header before the object, by which a form that does not call it is
 * found out.
 */
#include "face.h"

#include <malloc.h>

#include <new>

static const size_t mark = 0x600dc0de600dc0de;
static long live;

void *operator new(size_t n)
{
	size_t *p = n > SIZE_MAX / 4 ? nullptr : static_cast<size_t *>(malloc(n + 16));

	if (p == nullptr)
		throw std::bad_alloc();
	p[0] = mark;
	live++;
	return p + 2;
}

void operator delete(void *object) noexcept
{
	size_t *p = static_cast<size_t *>(object) - 2;

	if (object == nullptr)
		return;
	CHECK(p[0] == mark);
	p[0] = 0;
	live--;
	free(p);
}

void *operator new(size_t n, std::align_val_t align)
{
	live += 1000;
	return memalign(static_cast<size_t>(align), n);
}

void operator delete(void *object, std::align_val_t) noexcept
{
	live -= 1000;
	free(object);
}

static void *volatile p;

/* As clang calls it that was asked for allocation tokens. */
template <typename... Args> static void *token_new(const char *name, size_t token, Args... args)
{
	return reinterpret_cast<void *(*)(Args..., size_t)>(face_sym(name))(args..., token);
}

static void *make(int form)
{
	const size_t n = 40, token = static_cast<size_t>(form % 2);

	switch (form) {
	case 0: return ::operator new(n);
	case 1: return ::operator new[](n);
	case 2: return ::operator new(n, std::nothrow);
	case 3: return ::operator new[](n, std::nothrow);
	case 4: case 5: return token_new("__alloc_token__Znwm", token, n);
	case 6: case 7: return token_new("__alloc_token__Znam", token, n);
	case 8:
	case 9:
		return token_new("__alloc_token__ZnwmRKSt9nothrow_t", token, n, &std::nothrow);
	default: return token_new("__alloc_token__ZnamRKSt9nothrow_t", token, n, &std::nothrow);
	}
}

static void *make_aligned(int form)
{
	const size_t n = 40, align = 64, token = static_cast<size_t>(form % 2);
	const std::align_val_t al{align};

	switch (form) {
	case 0: return ::operator new(n, al);
	case 1: return ::operator new[](n, al);
	case 2: return ::operator new(n, al, std::nothrow);
	case 3: return ::operator new[](n, al, std::nothrow);
	case 4: case 5: return token_new("__alloc_token__ZnwmSt11align_val_t", token, n, align);
	case 6: case 7: return token_new("__alloc_token__ZnamSt11align_val_t", token, n, align);
	case 8:
	case 9:
		return token_new("__alloc_token__ZnwmSt11align_val_tRKSt9nothrow_t", token, n,
				 align, &std::nothrow);
	default:
		return token_new("__alloc_token__ZnamSt11align_val_tRKSt9nothrow_t", token, n,
				 align, &std::nothrow);
	}
}

static void every_new_goes_with_every_delete()
{
	for (int form = 0; form < 12; form++)
		for (int end = 0; end < 6; end++) {
			p = make(form);
			CHECK(live == 1);
			switch (end) {
			case 0: ::operator delete(p); break;
			case 1: ::operator delete[](p); break;
			case 2: ::operator delete(p, 40); break;
			case 3: ::operator delete[](p, 40); break;
			case 4: ::operator delete(p, std::nothrow); break;
			case 5: ::operator delete[](p, std::nothrow); break;
			}
			CHECK(live == 0);
		}
}

static void the_aligned_forms_have_their_own()
{
	const std::align_val_t align{64};

	for (int form = 0; form < 12; form++)
		for (int end = 0; end < 6; end++) {
			p = make_aligned(form);
			CHECK(live == 1000);
			switch (end) {
			case 0: ::operator delete(p, align); break;
			case 1: ::operator delete[](p, align); break;
			case 2: ::operator delete(p, 40, align); break;
			case 3: ::operator delete[](p, 40, align); break;
			case 4: ::operator delete(p, align, std::nothrow); break;
			case 5: ::operator delete[](p, align, std::nothrow); break;
			}
			CHECK(live == 0);
		}
}

static volatile size_t huge = SIZE_MAX / 2;

static void nothrow_catches_what_new_throws()
{
	p = ::operator new(huge, std::nothrow);
	CHECK(p == nullptr);
	p = ::operator new[](huge, std::nothrow);
	CHECK(p == nullptr);
}

int main()
{
	CHECK(face_malloc_is_goalloc());
	every_new_goes_with_every_delete();
	the_aligned_forms_have_their_own();
	nothrow_catches_what_new_throws();
}
