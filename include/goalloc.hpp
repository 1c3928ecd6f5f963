/* SPDX-License-Identifier: MIT */
/*
 * goalloc.hpp - C++17 containers in memory that never holds pointers: text, numbers, pixels.
 *
 *     std::vector<double, goalloc::noscan_allocator<double>> numbers;
 *     goalloc::noscan_resource resource;
 *     std::pmr::vector<float> samples(&resource);
 *
 * This noscan memory lies apart from memory with pointers, and the leak finder does not look into
 * it. A std::vector or std::basic_string allocates elements only. Other containers allocate nodes
 * or tables with pointers, too: the leak finder would report what only these lead to.
 *
 * When there is no memory the new handler is called, as operator new does.
 */
#ifndef GOALLOC_HPP
#define GOALLOC_HPP

#include <goalloc.h>

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <new>
#include <type_traits>

namespace goalloc {

/* Allocates size bytes of noscan memory, aligned to `align`, a power of two. It returns no null
 * pointer, but throws std::bad_alloc or what the new handler throws. */
inline void *allocate_noscan(std::size_t size, std::size_t align)
{
	for (;;) {
		void *p = goalloc_aligned_alloc_noscan(align, size);
		if (p != nullptr)
			return p;
		std::new_handler handler = std::get_new_handler();
		if (handler == nullptr)
			throw std::bad_alloc();
		handler();
	}
}

/* The allocator of a container whose elements have no pointers. All its objects are equal. */
template <class T> struct noscan_allocator {
	static_assert(!std::is_pointer_v<T> && !std::is_member_pointer_v<T>,
		      "noscan memory holds no pointers");
	using value_type = T;
	using is_always_equal = std::true_type;

	noscan_allocator() noexcept = default;
	template <class U> noscan_allocator(const noscan_allocator<U> &) noexcept {}

	[[nodiscard]] T *allocate(std::size_t n)
	{
		if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
			throw std::bad_array_new_length();
		return static_cast<T *>(allocate_noscan(n * sizeof(T), alignof(T)));
	}

	void deallocate(T *p, std::size_t) noexcept
	{
		std::free(p);
	}
};

template <class T, class U>
bool operator==(const noscan_allocator<T> &, const noscan_allocator<U> &) noexcept
{
	return true;
}

template <class T, class U>
bool operator!=(const noscan_allocator<T> &, const noscan_allocator<U> &) noexcept
{
	return false;
}

/* The same as a resource, for std::pmr's containers. All its objects are equal. */
class noscan_resource : public std::pmr::memory_resource {
	void *do_allocate(std::size_t size, std::size_t align) override
	{
		return allocate_noscan(size, align);
	}

	void do_deallocate(void *p, std::size_t, std::size_t) override
	{
		std::free(p);
	}

	bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
	{
		return dynamic_cast<const noscan_resource *>(&other) != nullptr;
	}
};

} // namespace goalloc

#endif
