# python-tests.sh - some of Python's own regression tests, with every object from malloc.
python=$(readlink /usr/bin/python3 || echo python3)
what="$python's own tests of dict, list, json, re, threads, mmap, fork and others"
packages="python3 lib$python-testsuite"
programs="/usr/bin/python3 /usr/lib/$python/test/test_dict.py"
limit=240

run_case() {
	local tests=(test_dict test_list test_json test_re test_mmap)
	[ "$MODE" = quick ] || tests+=(test_threading test_thread test_fork1 test_array test_bytes \
		test_deque
		test_memoryview test_sort test_zlib test_struct test_ctypes)
	PYTHONMALLOC=malloc /usr/bin/python3 -m test -j 2 "${tests[@]}" >log 2>&1 || cat log >&2
	sed -n -E 's/.*\] (test_[a-z_0-9]+ [a-z]+).*/\1/p' log | sort
}
