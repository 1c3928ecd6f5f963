# SPDX-License-Identifier: MIT
#
# cmake -DROOT=<source tree> -P check_layers.cmake
#
# Checks the rules of src/ that a compiler does not check:
#   - A folder is a layer. A file includes only files of its own folder and of folders below: LAYERS
#     lists them from the bottom. The files in src/ itself lie between tools and view.
#   - Files do not include each other in a circle. A .c file and its header count as one file.
#   - Only the os folder includes <sys/mman.h>, and only the face includes goalloc.h.
#   - Only base/compiler.h has __attribute__ or asks for the compiler, and only base/cpu.h asks for
#     the machine. Instructions stand in the headers base/cpu_*.h, and in compiler.h,
#     note.h and probe.h.
#   - A .c file opens with the licence and with a comment that names the file and says what it is.
# Every broken rule is reported with its file and line. Then the script fails.

cmake_minimum_required(VERSION 3.20)
if(NOT ROOT)
	get_filename_component(ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
endif()

set(LAYERS base os stack heap safe tools . view face)

# Arrows that go up or close a circle today, as FROM>TO. Each is to become a return value, or a
# function of the layer that knows both sides. One that is gone is reported, so that it leaves
# this list.
set(OWED)
set(seen "")

# Programs that run when the library is built, and no part of it.
set(EXEMPT heap/mksizeclass)

# The beginning of a line of the preprocessor that asks for something.
set(asks "^[ \t]*#[ \t]*(el)?if(n?def)?[ \t].*")

set(broken 0)
macro(report file line what)
	message("src/${file}:${line}: ${what}")
	math(EXPR broken "${broken} + 1")
endmacro()

# Sets out to the lines of a file, without brackets and semicolons, which mean something in lists of
# CMake.
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

# Sets out to the layer of a file, as a number.
function(layer_of file out)
	get_filename_component(folder ${file} DIRECTORY)
	if(folder STREQUAL "")
		set(folder .)
	endif()
	list(FIND LAYERS ${folder} number)
	set(${out} ${number} PARENT_SCOPE)
endfunction()

# Sets out to the file's name without its ending: the name that a .c file and its header share.
function(noun_of file out)
	string(REGEX REPLACE "(_table)?[.][a-z]+$" "" noun ${file})
	set(${out} ${noun} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE files RELATIVE ${ROOT}/src ${ROOT}/src/*.c ${ROOT}/src/*.h ${ROOT}/src/*.inc)
list(SORT files)
list(LENGTH files nfiles)
if(nfiles LESS 20)
	message(FATAL_ERROR "${ROOT}/src has only ${nfiles} sources: is ROOT right?")
endif()

function(check_include file number layer noun included)
	if(included STREQUAL "goalloc.h")
		list(FIND LAYERS face face)
		if(layer LESS face)
			report(${file} ${number} "only the face includes goalloc.h")
		endif()
	elseif(NOT EXISTS ${ROOT}/src/${included})
		report(${file} ${number} "includes ${included}, which is not in src/")
	else()
		layer_of(${included} below)
		noun_of(${included} target)
		if("${noun}>${target}" IN_LIST OWED)
			set(seen "${seen};${noun}>${target}" PARENT_SCOPE)
		elseif(below GREATER layer)
			report(${file} ${number} "includes ${included} of a higher layer")
		elseif(NOT target STREQUAL noun)
			list(APPEND edges_${noun} ${target})
			set(edges_${noun} "${edges_${noun}}" PARENT_SCOPE)
		endif()
	endif()
	set(broken ${broken} PARENT_SCOPE)
endfunction()

set(nouns "")
foreach(file IN LISTS files)
	layer_of(${file} layer)
	noun_of(${file} noun)
	get_filename_component(name ${file} NAME)
	get_filename_component(ext ${file} LAST_EXT)
	if(noun IN_LIST EXEMPT)
		continue()
	endif()
	if(layer LESS 0)
		report(${file} 1 "is in no layer of check_layers.cmake")
		continue()
	endif()
	list(APPEND nouns ${noun})

	read_lines(${ROOT}/src/${file} lines)
	set(number 0)
	set(in_comment TRUE)
	set(says_what FALSE)
	foreach(line IN LISTS lines)
		math(EXPR number "${number} + 1")
		if(in_comment)
			if(line MATCHES "^ [*] ${name} - [^ ]")
				set(says_what TRUE)
			elseif(number GREATER 1 AND line MATCHES "[*]/")
				set(in_comment FALSE)
			endif()
		endif()
		if(line MATCHES "^[ \t]*#[ \t]*include[ \t]*\"([^\"]+)\"")
			check_include(${file} ${number} ${layer} ${noun} ${CMAKE_MATCH_1})
		elseif(line MATCHES "^[ \t]*#[ \t]*include[ \t]*<sys/mman[.]h>" AND
				NOT file MATCHES "^os/")
			report(${file} ${number} "only the os folder includes <sys/mman.h>")
		endif()
		if(NOT file STREQUAL "base/compiler.h")
			if(line MATCHES "__attribute__|__declspec|_Pragma|^[ \t]*#[ \t]*pragma")
				report(${file} ${number}
					"only base/compiler.h has compiler attributes")
			endif()
			if(line MATCHES "${asks}(__GNUC__|__clang__|__has_|__SANITIZE_)")
				report(${file} ${number}
					"only base/compiler.h asks for the compiler")
			endif()
		endif()
		if(NOT file STREQUAL "base/cpu.h" AND
				line MATCHES "${asks}(__x86_64__|__aarch64__|__riscv)")
			report(${file} ${number} "only base/cpu.h asks for the machine")
		endif()
		if(line MATCHES "__asm__" AND
				NOT file MATCHES "^base/(cpu_[a-z0-9_]+|compiler|probe|note)[.]h$")
			report(${file} ${number}
				"only compiler.h, note.h, probe.h and cpu_*.h have instructions")
		endif()
	endforeach()
	if(ext STREQUAL ".c" OR ext STREQUAL ".h")
		if(NOT says_what)
			report(${file} 1 "the opening comment does not say: ${name} - what it is")
		endif()
		list(FIND lines "/* SPDX-License-Identifier: MIT */" licence)
		if(NOT licence EQUAL 0)
			report(${file} 1 "the first line is not the licence")
		endif()
	endif()
endforeach()

foreach(arrow IN LISTS OWED)
	if(NOT arrow IN_LIST seen)
		report(${arrow} 0 "is gone: take it from OWED")
	endif()
endforeach()

# What is left after the removal of every file that includes no file of the rest is a circle, or
# includes one.
list(REMOVE_DUPLICATES nouns)
set(removed TRUE)
while(removed)
	set(removed FALSE)
	foreach(noun IN LISTS nouns)
		set(waits FALSE)
		foreach(target IN LISTS edges_${noun})
			if(target IN_LIST nouns)
				set(waits TRUE)
			endif()
		endforeach()
		if(NOT waits)
			list(REMOVE_ITEM nouns ${noun})
			set(removed TRUE)
		endif()
	endforeach()
endwhile()
foreach(noun IN LISTS nouns)
	set(into "")
	foreach(target IN LISTS edges_${noun})
		if(target IN_LIST nouns)
			list(APPEND into ${target})
		endif()
	endforeach()
	list(REMOVE_DUPLICATES into)
	string(REPLACE ";" ", " into "${into}")
	report(${noun} 0 "lies in a circle of includes, or leads to one: ${into}")
endforeach()

if(broken GREATER 0)
	message(FATAL_ERROR "${broken} broken layering rules")
endif()
message("${nfiles} files follow the layering rules")
