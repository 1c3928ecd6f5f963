# gcc.sh - gcc compiles and links one large generated C file; every file must be byte-identical.
what="a large generated C file at -O2 -g, -flto, ar, strip and two linkers; files identical"
packages="gcc libc6-dev binutils"
programs="gcc as ld ar strip objdump nm"
limit=180

# An interpreter in the manner of sqlite's amalgamation: many structs, tables and big switches in
# one file.
prepare() {
	awk -v n="$(pick 8 36)" 'BEGIN {
		print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" \
			"#include <math.h>\ntypedef unsigned long u64;"
		for (i = 0; i < n; i++) {
			printf "struct s%d { u64 a[%d]; struct " \
				"s%d *next; union { double d; " \
				"char c[%d]; } u; unsigned f : %d; };\n" \
				"", i, i % 9 + 2, i, i % 30 + 8, i % 31 + 1
			printf "static const u64 table%d[] = {", i
			for (j = 0; j < 64; j++)
				printf "%d%s", (i * 7919 + j * 104729) % 65521,
					j < 63 ? "," : "};\n"
			printf "static u64 f%d(const unsigned char *z, u64 n, struct s%d *p) {\n" \
				"\tu64 r = n, i;\n\tfor (i = 0; i < n; i++) {\n" \
				"\t\tswitch (z[i] & 31) {\n", i, i
			for (j = 0; j < 24; j++) {
				extra = j % 3 ? "p->f += z[i];" : "p->u.d = sqrt((double)r);"
				if (i && j % 5 == 0)
					extra = "if (r % 3 == 0) { struct s" (i - 1) " q; " \
						"memset(&q, 0, sizeof q); " \
						"r += f" (i - 1) "(z, i, &q); }"
				printf "\t\tcase %d: r = r * " \
					"%d + table%d[(r ^ i) & 63]; p->a[%d] ^= r; %s break;\n" \
					"", j, j * 2 + 3, i, j % (i % 9 + 2), extra
			}
			print "\t\tdefault: for (int k = 0; k " \
				"< 8; k++) r ^= r << k | z[k % n]; break;\n\t\t}\n\t}\n" \
				"\treturn r;\n}"
		}
		print "int main(int argc, char **argv) {\n\tu64 r = 0; (void)argc;"
		for (i = 0; i < n; i++) printf "\t{ struct s%d " \
			"q; memset(&q, 0, sizeof q); r += f%d((const " \
			"unsigned char *)\"some text %d\", 12, &q); }\n", i, i, i
		print "\tprintf(\"%lu %d\\n\", r, argv != 0);\n\treturn 0;\n}" }' >"$INPUT/big.c"
	awk 'BEGIN {
		for (i = 0; i < 2000; i++)
			printf "#define M%d(x) (((x) * %d) ^ %s)\n", i, i,
				i ? "M" (i > 40 ? i - 37 : i - 1) "(x)" : "1"
		print "int g(int v) { return M1999(v); }"
	}' >"$INPUT/macros.c"
}

run_case() {
	local linker
	cp "$INPUT"/*.c .
	gcc -O2 -g -c big.c -o out/big.o
	gcc -O1 -S big.c -o out/big.s
	gcc -O2 -c macros.c -o out/macros.o
	for linker in bfd gold; do
		gcc -fuse-ld="$linker" -Wl,-Map="out/$linker.map" out/big.o -lm -o "out/$linker" &&
			"./out/$linker"
	done
	gcc -O2 -flto=2 -fno-fat-lto-objects big.c macros.c -lm -o out/lto && ./out/lto
	gcc -static out/big.o -lm -o out/static && ./out/static
	ar rcsD out/big.a out/*.o && ld -r out/big.o out/macros.o -o out/both.o
	strip -o out/stripped out/bfd
	objdump -d out/big.o | sha256sum
	nm -S --size-sort out/lto | sha256sum
	gcc -Wall -Wextra -fanalyzer -fsyntax-only macros.c 2>&1
	! gcc -fsyntax-only -x c - 2>&1 <<<'int main(void) { return unknown_name + ; }' || false
}
