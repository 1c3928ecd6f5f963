# SPDX-License-Identifier: MIT
#
# What cpack makes: an archive (TGZ), Debian packages (DEB), and beside them a list of what they
# contain and under which licence (SPDX). It is a part of the CMakeLists.txt above.

set(CPACK_PACKAGE_NAME goalloc)
set(CPACK_PACKAGE_CONTACT ${GOALLOC_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_SYSTEM_NAME linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_BINARY_DIR}/spdx.cmake)
configure_file(src/install/spdx.cmake.in ${PROJECT_BINARY_DIR}/spdx.cmake @ONLY)

# Debian: three packages, from a build of their own for /usr, whatever the prefix here is.
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/deb.cmake)
set(CROSS_OPTIONS "")
if(CMAKE_CROSSCOMPILING)
  # CMake chooses the multiarch folder for this machine's processor only.
  set(CROSS_OPTIONS "-DCMAKE_INSTALL_LIBDIR=lib/${CMAKE_LIBRARY_ARCHITECTURE}")
  if(NOT CMAKE_TOOLCHAIN_FILE)
    string(APPEND CROSS_OPTIONS "
    -DCMAKE_SYSTEM_NAME=${CMAKE_SYSTEM_NAME} -DCMAKE_SYSTEM_PROCESSOR=${CMAKE_SYSTEM_PROCESSOR}")
  endif()
endif()
configure_file(src/install/debian/deb.cmake.in ${PROJECT_BINARY_DIR}/deb.cmake @ONLY)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libgoalloc${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libgoalloc-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME goalloc-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libgoalloc${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}), libc6-dev")
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS
  "libgoalloc${PROJECT_VERSION_MAJOR} (>= ${PROJECT_VERSION})")
if(CMAKE_CROSSCOMPILING)
  # dpkg-shlibdeps knows the packages of this machine's processor only. The library needs nothing
  # that is newer than glibc 2.31; the tools are linked with the libc that they are built with.
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS OFF)
  string(REGEX REPLACE "^(x86_64|AMD64)$" "amd64" CPACK_DEBIAN_PACKAGE_ARCHITECTURE
    ${CMAKE_SYSTEM_PROCESSOR})
  string(REGEX REPLACE "^aarch64$" "arm64" CPACK_DEBIAN_PACKAGE_ARCHITECTURE
    ${CPACK_DEBIAN_PACKAGE_ARCHITECTURE})
  file(WRITE ${PROJECT_BINARY_DIR}/glibc.c "#include <features.h>\n__GLIBC__.__GLIBC_MINOR__\n")
  execute_process(COMMAND ${CMAKE_C_COMPILER} -E -P ${PROJECT_BINARY_DIR}/glibc.c
    OUTPUT_VARIABLE glibc OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REPLACE " " "" glibc "${glibc}")
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "libc6 (>= 2.31)")
  string(PREPEND CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "libc6 (>= ${glibc}), ")
endif()
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "malloc with the architecture of the Go runtime's
Takes the place of malloc, free and their relatives in a program that is
linked with it or started with it in LD_PRELOAD. It checks every free, gives
unused memory back to the system, and can write statistics, heap profiles
and leak reports.

This package contains the shared library and its manual.")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "malloc with the architecture of the Go runtime's - development
Takes the place of malloc, free and their relatives in a program that is
linked with it.

This package contains the headers, the static library, and what pkg-config
and CMake need to find them.")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "malloc with the architecture of the Go runtime's - tools
The command goalloc-run starts a program with another malloc, finds its
leaks, and writes statistics, profiles and maps of its heap. goalloc-view
looks into the heap of a running process or of a core file.")
set(control ${PROJECT_BINARY_DIR}/debian)
file(MAKE_DIRECTORY ${control})
configure_file(src/install/debian/shlibs.in ${control}/shlibs @ONLY)
file(WRITE ${control}/triggers "activate-noawait ldconfig\n")
# The last two do not exist: their names keep cpack from adding scripts that call ldconfig, as the
# trigger does.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
  "${control}/shlibs;${control}/triggers;${control}/postinst;${control}/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
