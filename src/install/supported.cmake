# SPDX-License-Identifier: MIT
#
# Stops with one line where goalloc does not run.

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "goalloc runs on Linux, not on ${CMAKE_SYSTEM_NAME}")
endif()

# The compiler is asked, because CMAKE_SYSTEM_PROCESSOR does not know of -m32 and the like. x32 has
# pointers of 32 bits on x86-64.
function(goalloc_check_processor)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  set(source ${PROJECT_BINARY_DIR}/CMakeFiles/processor.c)
  file(WRITE ${source} "
#if !defined(__x86_64__) && !defined(__aarch64__) && !(defined(__riscv) && __riscv_xlen == 64)
#error processor
#elif __SIZEOF_POINTER__ != 8 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error pointers or bytes
#endif
int nothing;
")
  unset(GOALLOC_SUPPORTED CACHE)
  try_compile(GOALLOC_SUPPORTED ${PROJECT_BINARY_DIR}/CMakeFiles/processor SOURCES ${source})
  if(NOT GOALLOC_SUPPORTED)
    message(FATAL_ERROR "goalloc runs on x86-64, arm64 and riscv64 with 64-bit pointers and \
little-endian numbers; ${CMAKE_C_COMPILER} ${CMAKE_C_FLAGS} compiles for another processor")
  endif()
endfunction()
goalloc_check_processor()
