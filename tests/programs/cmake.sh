# cmake.sh - cmake configures a generated project, make -j2 builds it, ctest runs it.
what="cmake configures, make -j2 builds, ctest and cpack run a generated project"
packages="cmake make gcc libc6-dev"
programs="cmake make ctest cpack gcc"

prepare() {
	local i n
	n=$(pick 8 25)
	{
		echo 'cmake_minimum_required(VERSION 3.20)'
		echo 'project(sample VERSION 1.2 LANGUAGES C)'
		echo 'include(CheckIncludeFile)' && echo 'include(CheckFunctionExists)' &&
			echo 'include(CTest)'
		echo 'check_include_file(stdlib.h HAVE_STDLIB)' &&
			echo 'check_function_exists(qsort HAVE_QSORT)'
		printf '%s\n' 'set(all)' 'foreach(i RANGE 3000)' \
			'  math(EXPR x "(${i} * 7919) % 1009")' '  list(APPEND all "item${x}")' \
			'endforeach()' \
			'list(REMOVE_DUPLICATES all)' 'list(SORT all)' 'list(LENGTH all n)' \
			'string(REGEX REPLACE "item([0-9])" "<\\1>" text "${all}")' \
			'file(WRITE ${CMAKE_BINARY_DIR}/text "${text}")' \
			'message(STATUS "items: ${n}")'
		echo 'add_executable(main main.c)'
		for ((i = 0; i < n; i++)); do
			echo "int f$i(int x) { return x + $i; }" >"$INPUT/f$i.c"
			echo "add_library(l$i STATIC f$i.c)" &&
				echo "target_link_libraries(main PRIVATE l$i)" &&
				echo "add_test(NAME t$i COMMAND main $i)"
		done
		printf '%s\n' 'install(TARGETS main)' 'include(CPack)'
	} >"$INPUT/CMakeLists.txt"
	for ((i = 0; i < n; i++)); do echo "int f$i(int);"; done >"$INPUT/main.c"
	{
		echo "int main(int c, char **v) { int r = c; (void)v;"
		for ((i = 0; i < n; i++)); do echo "r = f$i(r);"; done
		echo "return r < 0; }"
	} >>"$INPUT/main.c"
}

run_case() {
	cmake -S "$INPUT" -B b -DCMAKE_BUILD_TYPE=Release | grep -v -e 'Build files' |
		sed 's/ ([0-9.]*s)//'
	make -C b -j 2 >make.log
	grep -c Built make.log
	ctest --test-dir b -j 2 | grep 'tests passed'
	cmake --install b --prefix "$PWD/out/usr" | grep -c Installing
	(cd b && cpack -G TGZ >/dev/null && tar -tf ./*.tar.gz)
	cp b/text b/Makefile b/CMakeCache.txt b/main out
	find b -name '*.make' -o -name '*.cmake' -o -name '*.o' | sort | wc -l
}
