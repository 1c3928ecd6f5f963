# SPDX-License-Identifier: MIT
#
# cmake -DTABLE=<sizeclass_table.inc> -DPAGE=<page.html to write> -DARRAY=<page_bytes.c to write>
#   -P embed.cmake
#
# Puts the parts of this folder into one page: @name@ in page.html becomes the text of that file,
# and @class_sizes@ the sizes of the table's rows. ARRAY is a C source that defines the page's
# bytes.

cmake_minimum_required(VERSION 3.20)

file(STRINGS ${TABLE} rows REGEX "^{ [0-9]+, [0-9]+u?, ")
list(LENGTH rows nrows)
if(nrows LESS 60)
	message(FATAL_ERROR "${TABLE} has only ${nrows} rows of size classes")
endif()
list(TRANSFORM rows REPLACE "^{ ([0-9]+),.*" "\\1")
list(JOIN rows ", " class_sizes)

file(READ ${CMAKE_CURRENT_LIST_DIR}/page.html page)
foreach(part style.css base.js data.js memory.js map.js flame.js leaks.js tables.js main.js)
	file(READ ${CMAKE_CURRENT_LIST_DIR}/${part} text)
	string(FIND "${page}" "@${part}@" at)
	if(at LESS 0)
		message(FATAL_ERROR "page.html has no place for ${part}")
	endif()
	string(REPLACE "@${part}@" "${text}" page "${page}")
endforeach()
string(REPLACE "@class_sizes@" "${class_sizes}" page "${page}")

file(WRITE ${PAGE} "${page}")
file(READ ${PAGE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${ARRAY} "#include \"view/page.h\"\n"
	"const unsigned char page_bytes[] = {\n${bytes}\n};\n"
	"const size_t page_length = sizeof(page_bytes);\n")
