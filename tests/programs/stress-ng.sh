# stress-ng.sh - the malloc, fork and thread stressors with --verify, bounded in operations and
# time.
what="malloc, malloc threads, fork, vfork, pthread, exec and data structure stressors with --verify"
packages="stress-ng"
programs="stress-ng"

# stress OPTION...: to an end that is the same every time.
stress() {
	stress-ng --verify --timeout "$(pick 2 4)s" --temp-path "$PWD" --oomable "$@" >log 2>&1 ||
		{ cat log >&2 && return 1; }
	! grep -E 'fail:|error:' log >&2 || return 1
	echo "$*: passed"
}

run_case() {
	stress --malloc 2 --malloc-bytes 32M --malloc-ops "$(pick 20000 100000)"
	stress --malloc 1 --malloc-bytes 32M --malloc-pthreads 4 --malloc-touch --malloc-ops \
		"$(pick 10000 40000)"
	stress --malloc 1 --malloc-bytes 16M --malloc-zerofree --malloc-ops "$(pick 2000 8000)"
	stress --fork 2 --fork-ops "$(pick 300 1200)" --vfork 1 --vfork-ops "$(pick 200 800)"
	stress --pthread 1 --pthread-ops "$(pick 500 2000)" --exec 1 --exec-ops "$(pick 50 150)"
	stress --tree 1 --tree-ops 2 --tsearch 1 --tsearch-ops 2 --hsearch 1 --hsearch-ops 2 \
		--list 1 --list-ops 50 --skiplist 1 --skiplist-ops 5
	[ "$MODE" = quick ] || stress --bigheap 1 --bigheap-ops 2000 --brk 1 --brk-ops 20000 \
		--mmapfork 1 --mmapfork-ops 2 --resources 1 --resources-ops 2 --zlib 1 --zlib-ops 20
}
