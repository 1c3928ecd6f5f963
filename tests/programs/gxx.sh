# gxx.sh - g++ compiles and links a large C++ file with many STL templates; files byte-identical.
what="a C++ file with hundreds of STL instances at -O2 and -O0 -g, exceptions; files identical"
packages="g++"
programs="g++"
limit=240

# stl NAME N: a C++ program with N sets of template instances.
stl() {
	awk -v n="$2" 'BEGIN {
		print "#include <algorithm>\n#include <functional>\n#include <iostream>\n" \
			"#include <map>\n#include <memory>\n#include <numeric>\n#include <set>\n" \
			"#include <sstream>\n#include <string>\n#include <unordered_map>\n" \
			"#include <variant>\n#include <vector>"
		print "template <int N> struct Tag { long v; " \
			"bool operator<(const Tag &o) const { " \
			"return v < o.v; } bool operator==(const " \
			"Tag &o) const { return v == o.v; } };"
		print "template <int N> struct std::hash<Tag<N>> " \
			"{ size_t operator()(const Tag<N> &t) const { return t.v * N; } };"
		print "template <int N> long fib() { if constexpr " \
			"(N < 2) return N; else return fib<N - 1>() + fib<N - 2>(); }"
		print "template <int N> long use(long x) {\n" \
			"\tstd::map<Tag<N>, std::vector<std::string>> " \
			"m; std::unordered_map<Tag<N>, std::unique_ptr<std::set<Tag<N>>>> u;\n" \
			"\tstd::variant<Tag<N>, std::string, std::vector<long>> w;\n" \
			"\tfor (long i = 0; i < 60; i++) { Tag<N> " \
			"t{(x * (N + 3) + i * 7919) % 31}; m[t].push_back(std::to_string(i " \
			"* x)); auto &p = u[t]; " \
			"if (!p) p = std::make_unique<std::set<Tag<N>>>(); " \
			"p->insert(Tag<N>{i}); }\n" \
			"\tstd::vector<Tag<N>> v; for (auto &e : m) v.push_back(e.first); " \
			"std::sort(v.rbegin(), v.rend()); std::stable_sort(v.begin(), v.end());\n" \
			"\tw = std::vector<long>(v.size(), x); " \
			"std::function<long(long)> f = [&](long y) { " \
			"return y + std::get<std::vector<long>>(w).size(); };\n" \
			"\tstd::ostringstream s; " \
			"for (auto &t : v) s << t.v << m[t].size() << u[t]->size();\n" \
			"\ttry { if (x % 2) throw Tag<N>{x}; } catch (const Tag<N> &t) { " \
			"return f(t.v) + s.str().size() + fib<N % 20>(); }\n" \
			"\treturn f(s.str().size());\n}"
		print "int main() {\n\tlong r = 0;"
		for (i = 0; i < n; i++) printf "\tr = r * 31 + use<%d>(%d);\n", i, i * 3 + 1
		print "\tstd::cout << r << std::endl;\n}" }' >"$1"
}

prepare() { stl "$INPUT/stl.cc" "$(pick 2 6)"; }

run_case() {
	cp "$INPUT/stl.cc" .
	g++ -std=c++17 -O2 -c stl.cc -o out/stl.o
	g++ out/stl.o -o out/stl && ./out/stl
	[ "$MODE" = quick ] || { g++ -std=c++17 -O0 -g stl.cc -o out/debug && ./out/debug; }
	[ "$MODE" = quick ] || g++ -O2 -x c++ - -o out/regex <<<'#include <regex>
int main() { return std::regex_match("abc12", std::regex("[a-c]+[0-9]*")) - 1; }'
	! g++ -std=c++17 -fsyntax-only -x c++ - 2>out/errors <<<'#include <map>
int main() { std::map<int, int> m; m.insert("text").nothing(); }' || false
}
