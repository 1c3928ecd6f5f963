# SPDX-License-Identifier: MIT
#
# What "cmake --install" puts where, in three components as a distribution has them: runtime,
# development and tools. It is a part of the CMakeLists.txt above.

# Found from where the file is, so that the tree can be installed anywhere.
file(RELATIVE_PATH GOALLOC_PREFIX_FROM_PC
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(src/install/goalloc.pc.in ${PROJECT_BINARY_DIR}/goalloc.pc @ONLY)
configure_file(src/install/goalloc-alloc-token.pc.in
  ${PROJECT_BINARY_DIR}/goalloc-alloc-token.pc @ONLY)
include(CMakePackageConfigHelpers)
configure_package_config_file(src/install/goallocConfig.cmake.in
  ${PROJECT_BINARY_DIR}/goallocConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/goalloc)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/goallocConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)

set(runtime COMPONENT runtime)
set(development COMPONENT development)
set(tools COMPONENT tools)
install(TARGETS goalloc goalloc_static goalloc_alloc_token EXPORT goallocTargets
  LIBRARY ${runtime} NAMELINK_COMPONENT development
  ARCHIVE ${development})
install(EXPORT goallocTargets NAMESPACE goalloc:: ${development}
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/goalloc)
install(FILES ${PROJECT_BINARY_DIR}/goallocConfig.cmake
  ${PROJECT_BINARY_DIR}/goallocConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/goalloc ${development})
install(FILES ${PROJECT_BINARY_DIR}/goalloc.o DESTINATION ${CMAKE_INSTALL_LIBDIR} ${development})
install(FILES ${PROJECT_BINARY_DIR}/goalloc.pc ${PROJECT_BINARY_DIR}/goalloc-alloc-token.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${development})
install(FILES include/goalloc.h include/goalloc.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${development})
install(TARGETS goalloc-view DESTINATION ${CMAKE_INSTALL_BINDIR} ${tools})
install(TARGETS goalloc-lines DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/goalloc ${tools})
install(PROGRAMS ${PROJECT_BINARY_DIR}/goalloc-run DESTINATION ${CMAKE_INSTALL_BINDIR} ${tools})

# Installs one manual page of src/man, for a Debian package compressed as its policy wants.
function(install_manual page component)
  string(REGEX MATCH "[0-9]$" section ${page})
  set(file ${PROJECT_SOURCE_DIR}/src/man/${page})
  if(GOALLOC_DEBIAN)
    debian_compress(${file} ${page}.gz file)
  endif()
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
endfunction()

# A Debian package is made in a build folder of its own, by deb.cmake.
option(GOALLOC_DEBIAN "Install documents as Debian's policy wants them" OFF)
# The variables DEBFULLNAME and DEBEMAIL name the packages' maintainer, as for Debian's own tools.
# Without them the packages name an address that cannot be written to, because nobody answers.
set(maintainer "goalloc authors <goalloc@example.org>")
if(DEFINED ENV{DEBEMAIL} AND DEFINED ENV{DEBFULLNAME})
  set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
endif()
set(GOALLOC_MAINTAINER "${maintainer}" CACHE STRING "Name <address> of who makes the packages")
if(NOT GOALLOC_MAINTAINER MATCHES "^[^<>]+ <[^<>@ ]+@[^<>@ ]+>$")
  message(FATAL_ERROR "GOALLOC_MAINTAINER is '${GOALLOC_MAINTAINER}': use 'Name <address>'")
endif()
mark_as_advanced(GOALLOC_DEBIAN GOALLOC_MAINTAINER)
if(GOALLOC_DEBIAN)
  include(src/install/debian/documents.cmake)
endif()
install_manual(goalloc-run.1 tools)
if(EXISTS ${PROJECT_SOURCE_DIR}/src/man/goalloc-view.1)
  install_manual(goalloc-view.1 tools)
endif()
install_manual(goalloc.3 development)
install_manual(goalloc.7 runtime)

if(GOALLOC_ALONE)
  include(src/install/pack.cmake)
endif()
