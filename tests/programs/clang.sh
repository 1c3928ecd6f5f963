# clang.sh - clang and clang++ compile and link generated C and C++; files byte-identical.
what="generated C and C++ with clang and clang++ at -O2; files identical"
packages="clang g++"
programs="clang clang++"
limit=180

prepare() {
	awk -v n="$(pick 10 40)" 'BEGIN {
		print "#include <stdio.h>\n#include <string.h>"
		for (i = 0; i < n; i++) {
			printf "struct s%d { long a[%d]; struct s%d *p; };\n" \
				"static long f%d(long x, struct s%d *s) {\n", i, i % 7 + 1, i, i, i
			for (j = 0; j < 20; j++) printf "\tif " \
				"((x >> %d) & 1) { for (int k " \
				"= 0; k < %d; k++) s->a[k %% %d] += x * %d; x ^= s->a[%d]; }\n" \
				"", j, j + 3, i % 7 + 1, j * 31 + i, j % (i % 7 + 1)
			print "\treturn x;\n}"
		}
		print "int main(void) {\n\tlong r = 0;"
		for (i = 0; i < n; i++) printf "\t{ struct s%d " \
			"s; memset(&s, 0, sizeof s); r += f%d(%d + r, &s); }\n", i, i, i * 7919
		print "\tprintf(\"%ld\\n\", r);\n}" }' >"$INPUT/big.c"
	cat >"$INPUT/stl.cc" <<-'END'
	#include <algorithm>
	#include <iostream>
	#include <map>
	#include <string>
	#include <vector>
	template <int N> long use()
	{
		std::map<std::string, std::vector<long>> m;
		for (long i = 0; i < 99; i++)
			m[std::to_string(i % N)].push_back(i);
		long r = 0;
		for (auto &e : m)
			r += std::count_if(e.second.begin(), e.second.end(),
					   [](long x) { return x % N == 1; });
		return r;
	}
	template <int... I> long all(std::integer_sequence<int, I...>)
	{
		return (use<I + 1>() + ...);
	}
	int main() { std::cout << all(std::make_integer_sequence<int, 8>()) << std::endl; }
	END
}

run_case() {
	cp "$INPUT"/* .
	clang -O2 -g -c big.c -o out/big.o
	clang out/big.o -o out/big && ./out/big
	clang -O1 -S -emit-llvm big.c -o out/big.ll
	clang++ -std=c++17 -O2 stl.cc -o out/stl && ./out/stl
	[ "$MODE" = quick ] || clang -fsyntax-only -Xclang -ast-dump stl.cc -std=c++17 \
		-fno-color-diagnostics 2>/dev/null | grep -c FunctionDecl
	! clang -fsyntax-only -x c - 2>out/errors <<<'int main(void) { return unknown_name + ; }' ||
		false
}
