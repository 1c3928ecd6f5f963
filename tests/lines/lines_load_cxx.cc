// SPDX-License-Identifier: MIT
// lines_load_cxx.cc - allocates in a function whose name has to be demangled.
namespace shop
{
struct basket
{
	static void *keep[10000];
	__attribute__((noinline)) static void *take(int n, const char *)
	{
		char *p = new char[(unsigned)n]; // line of take

		p[0] = 1;
		return p;
	}
};
void *basket::keep[10000];
} // namespace shop

int main()
{
	for (auto &p : shop::basket::keep)
		p = shop::basket::take(500, "");
	return shop::basket::keep[7] == nullptr;
}
