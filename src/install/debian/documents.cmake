# SPDX-License-Identifier: MIT
#
# Documents as Debian's policy wants them: manuals and change logs compressed, and a copyright file
# in each package.

find_program(GZIP gzip REQUIRED)
mark_as_advanced(GZIP)

# Compresses a file into the build folder, without name and time, and sets `result` to the new file.
function(debian_compress file name result)
  set(to ${PROJECT_BINARY_DIR}/debian/${name})
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/debian)
  execute_process(COMMAND ${GZIP} -9nc ${file} OUTPUT_FILE ${to} COMMAND_ERROR_IS_FATAL ANY)
  set(${result} ${to} PARENT_SCOPE)
endfunction()

configure_file(src/install/debian/changelog.in ${PROJECT_BINARY_DIR}/debian/changelog @ONLY)
file(STRINGS LICENSE license)
list(FILTER license EXCLUDE REGEX "^(MIT License|Copyright .*)$")
set(indented "")
foreach(line IN LISTS license)
  if(line STREQUAL "")
    set(line ".")
  endif()
  string(APPEND indented " ${line}\n")
endforeach()
file(READ LICENSE license)
string(REGEX MATCH "Copyright \\(c\\) ([^\n]*)" line "${license}")
set(owner "${CMAKE_MATCH_1}")
file(WRITE ${PROJECT_BINARY_DIR}/debian/copyright
  "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: goalloc

Files: *
Copyright: ${owner}
License: Expat
${indented}")
debian_compress(${PROJECT_BINARY_DIR}/debian/changelog changelog.gz changelog)
debian_compress(${PROJECT_SOURCE_DIR}/src/man/CHANGELOG.md CHANGELOG.md.gz upstream)
foreach(pair runtime:libgoalloc${PROJECT_VERSION_MAJOR} development:libgoalloc-dev
    tools:goalloc-tools)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES ${PROJECT_BINARY_DIR}/debian/copyright ${changelog} ${upstream}
    DESTINATION share/doc/${package} COMPONENT ${component})
endforeach()
