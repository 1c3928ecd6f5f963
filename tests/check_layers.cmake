# SPDX-License-Identifier: MIT
#
# cmake -DROOT=<source tree> -P check_layers.cmake
#
# The rules of src/ that a compiler does not check:
#   - a file includes only files of lower levels; within L0 and L1 only files above it in the list;
#     its own header always. A file that is on no level is an error: give it one below.
#   - only os_linux.c includes <sys/mman.h>.
#   - only base.h has __attribute__ and asks which compiler it is.
#   - a .c file opens with its contract: the five parts, Owns, Callers, Locks, Holds among them.
# Every broken rule is reported with file and line; then the script fails.

cmake_minimum_required(VERSION 3.20)
if(NOT ROOT)
	get_filename_component(ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
endif()

# L0 and L1: one level each, in this order.
# What only base.h may ask for.
set(compiler_words __GNUC__|__clang__|__has_|__SANITIZE_|__x86_64__|__aarch64__)

set(ORDERED_0 base siphash os_call text probe config os os_linux os_clock forked fatal os_process
	os_file out
	cgroup gzip rights lock)
set(ORDERED_1 unwind symbol sizeclass_table sizeclass fixalloc hashtable chance loaded
	libc cxxlib options)
set(LEVEL_2 arena pagealloc mspan)
set(LEVEL_3 mheap scavenge limit heapwalk)
set(LEVEL_4 mcentral)
set(LEVEL_5 mcache tiny hardened retire)
set(LEVEL_6 thread sample heapcheck stat metric heapmap heapsvg profile pprof guard fault procmap
	mark snapshot roots leak)
set(LEVEL_7 foreign malloc service)
set(LEVEL_8 replaced program interpose interpose_cxx interpose_dlopen interpose_jemalloc
	interpose_libc interpose_token interpose_tools)

# Within levels 2..8 a file may use its neighbours: the list gives each level's rank as one number.
set(rank 0)
foreach(level 0 1)
	foreach(noun IN LISTS ORDERED_${level})
		math(EXPR rank "${rank} + 1")
		set(RANK_${noun} ${rank})
	endforeach()
endforeach()
foreach(level RANGE 2 8)
	math(EXPR rank "${rank} + 1")
	foreach(noun IN LISTS LEVEL_${level})
		set(RANK_${noun} ${rank})
		set(SHARES_${noun} TRUE)
	endforeach()
endforeach()
# The implementations of os.h, on its level.
foreach(noun os_linux os_clock)
	set(RANK_${noun} ${RANK_os})
	set(SHARES_${noun} TRUE)
endforeach()

# A host program, and no part of the library.
set(EXEMPT mksizeclass)

set(broken 0)
macro(report file line what)
	message("${file}:${line}: ${what}")
	math(EXPR broken "${broken} + 1")
endmacro()

# Lines of a file as a list. Brackets and semicolons would make CMake see other lists than there
# are.
function(read_lines path out)
	file(READ ${path} text)
	string(REPLACE ";" "," text "${text}")
	string(REPLACE "[" "(" text "${text}")
	string(REPLACE "]" ")" text "${text}")
	string(REPLACE "\\" "/" text "${text}")
	string(REGEX REPLACE "\n$" "" text "${text}")
	string(REPLACE "\n" ";" lines "${text}")
	set(${out} "${lines}" PARENT_SCOPE)
endfunction()

file(GLOB files RELATIVE ${ROOT} ${ROOT}/src/*.c ${ROOT}/src/*.h ${ROOT}/src/*.inc)
list(SORT files)
list(LENGTH files nfiles)
if(nfiles LESS 20)
	message(FATAL_ERROR "${ROOT}/src has only ${nfiles} sources: is ROOT right?")
endif()

foreach(file IN LISTS files)
	get_filename_component(noun ${file} NAME_WE)
	get_filename_component(ext ${file} LAST_EXT)
	if(noun IN_LIST EXEMPT)
		continue()
	endif()
	if(NOT DEFINED RANK_${noun})
		report(${file} 1 "is on no level of check_layers.cmake")
		continue()
	endif()

	read_lines(${ROOT}/${file} lines)
	set(number 0)
	set(in_comment TRUE)
	set(parts "")
	foreach(line IN LISTS lines)
		math(EXPR number "${number} + 1")

		# The opening comment, after the licence line.
		if(in_comment)
			if(line MATCHES "^ [*] (Owns|Callers|Locks|Holds) +[^ ]")
				list(APPEND parts ${CMAKE_MATCH_1})
			elseif(line MATCHES "^ [*] ${noun}[.]c - [^ ]")
				list(APPEND parts what)
			elseif(line MATCHES "^ [*] See malloc[.]c for the overview(,.*)?[.]")
				list(APPEND parts overview)
			elseif(number GREATER 1 AND line MATCHES "[*]/")
				set(in_comment FALSE)
			endif()
		endif()

		if(line MATCHES "^[ \t]*#[ \t]*include[ \t]*\"([^\"]+)\"")
			set(included ${CMAKE_MATCH_1})
			get_filename_component(target ${included} NAME_WE)
			if(included STREQUAL "goalloc.h" OR
				included STREQUAL "../include/goalloc.h")
				# The installed header has no internals.
				if(RANK_${noun} LESS RANK_interpose)
					report(${file} ${number} "only the face includes goalloc.h")
				endif()
			elseif(NOT DEFINED RANK_${target})
				report(${file} ${number}
					"includes ${included}, which is on no level")
			elseif(target STREQUAL noun)
				# Its own header, or table.
			elseif(RANK_${target} GREATER RANK_${noun})
				report(${file} ${number} "includes ${included} of a higher level")
			elseif(RANK_${target} EQUAL RANK_${noun} AND NOT SHARES_${noun})
				report(${file} ${number} "includes ${included} of its own level")
			endif()
		elseif(line MATCHES "^[ \t]*#[ \t]*include[ \t]*<sys/mman[.]h>" AND
			NOT file STREQUAL "src/os_linux.c")
			report(${file} ${number} "only os_linux.c includes <sys/mman.h>")
		endif()

		if(NOT file STREQUAL "src/base.h")
			if(line MATCHES "__attribute__|__declspec|_Pragma|^[ \t]*#[ \t]*pragma")
				report(${file} ${number} "only base.h has compiler attributes")
			endif()
			if(line MATCHES
				"^[ \t]*#[ \t]*(el)?if(n?def)?[ \t].*(${compiler_words})")
				report(${file} ${number}
					"only base.h asks for the compiler or the machine")
			endif()
		endif()
	endforeach()

	if(ext STREQUAL ".c")
		foreach(part what Owns Callers Locks Holds)
			if(NOT part IN_LIST parts)
				report(${file} 1 "the opening comment lacks: ${part}")
			endif()
		endforeach()
		if(NOT noun STREQUAL "malloc" AND NOT "overview" IN_LIST parts)
			report(${file} 1
				"the opening comment lacks: See malloc.c for the overview.")
		endif()
		list(FIND lines "/* SPDX-License-Identifier: MIT */" licence)
		if(NOT licence EQUAL 0)
			report(${file} 1 "the first line is not the licence")
		endif()
	endif()
endforeach()

if(broken GREATER 0)
	message(FATAL_ERROR "${broken} broken layering rules")
endif()
message("${nfiles} files follow the layering rules")
