# gdb.sh - gdb with its Python runs a program that has the library too.
what="gdb in batch mode: symbols, breakpoints, backtrace, Python, an inferior with the library"
packages="gdb gcc libc6-dev"
programs="gdb gcc"

prepare() {
	cat >"$INPUT/list.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
struct node { int v; struct node *next; };
static struct node *push(struct node *l, int v) { struct node *n = malloc(sizeof *n); n->v = v;
	n->next = l; return n; }
static int last(struct node *l) { return l->next ? last(l->next) : l->v; }
int main(void) { struct node *l = NULL; for (int i = 0; i < 20; i++) l = push(l, i * i);
	printf("%d\n", last(l)); while (l) { struct node *n = l->next; free(l); l = n; } return 3; }
END
}

run_case() {
	cp "$INPUT/list.c" . && gcc -g -O0 list.c -o list
	gdb --version | sed -n 1p
	gdb -nx -batch -ex 'set style enabled off' -ex 'set debuginfod enabled off' -ex \
		'break last if l->v == 0' -ex run -ex 'backtrace 30' -ex 'print *l' -ex \
		'info locals' -ex 'up' -ex 'print l->v + 7' \
		-ex 'python import gc; d = {i: str(i) * 20 for i in range(20000)}' \
		-ex 'python print(len(d), gdb.parse_and_eval("l->v"))' \
		-ex 'python print(gdb.selected_frame().name())' \
		-ex 'ptype struct node' -ex delete -ex continue ./list 2>err |
		grep -v -e 'Breakpoint 1 at' -e libthread_db |
		sed -E 's/\(?0x[0-9a-f]+\)?/ADDR/g; s/process [0-9]+/process N/g'
	gdb -nx -batch -ex 'info functions ^ma' -ex 'disassemble main' ./list |
		sed -E 's/0x[0-9a-f]+/ADDR/g' | sha256sum
	[ "$MODE" = quick ] || gdb -nx -batch -ex 'info types str' "$(type -P python3)" 2>&1 | wc -l
}
