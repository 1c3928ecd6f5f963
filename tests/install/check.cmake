# SPDX-License-Identifier: MIT
#
# cmake -DFOLDER= -DPREFIX= -DPROJECT= -DCC= -DTOKENS= ... -P check.cmake
#
# Builds project/ with compiler CC against what is installed in PREFIX, and runs it.
#   TOKENS         CC is a clang that gives allocation tokens: the program must see that they count
#   BY_PKG_CONFIG  the flags are pkg-config's, and CC is called with them; otherwise find_package()
#   LTO            with link-time optimisation

function(run)
	execute_process(COMMAND ${ARGN} RESULT_VARIABLE result
		OUTPUT_VARIABLE text ERROR_VARIABLE text)
	if(NOT result EQUAL 0)
		list(JOIN ARGN " " line)
		message(FATAL_ERROR "${line}\n${text}exit status: ${result}")
	endif()
	set(TEXT "${text}" PARENT_SCOPE)
endfunction()

function(pkg_config out)
	run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${PREFIX}/${LIBDIR}/pkgconfig ${PKG_CONFIG}
		${ARGN})
	separate_arguments(flags UNIX_COMMAND "${TEXT}")
	set(${out} "${flags}" PARENT_SCOPE)
endfunction()

set(token 0)
if(TOKENS)
	set(token 1)
endif()
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})

if(BY_PKG_CONFIG)
	set(module goalloc)
	if(TOKENS)
		set(module goalloc-alloc-token)
	endif()
	set(source ${PROJECT}/project/user.c)
	pkg_config(flags --cflags --libs ${module})
	run(${CC} -O2 -o ${FOLDER}/user_shared ${source} ${flags} -Wl,-rpath,${PREFIX}/${LIBDIR})
	if(TOKENS)
		# Where the linker optimises, the flag for that is the module's lto_libs.
		pkg_config(lto_flags --variable=lto_libs ${module})
		run(${CC} -O2 -flto -o ${FOLDER}/user_lto ${source} ${flags} ${lto_flags}
			-Wl,-rpath,${PREFIX}/${LIBDIR})
		run(${FOLDER}/user_lto ${token})
	endif()
else()
	run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${PROJECT}/project -B ${FOLDER}
		-DCMAKE_C_COMPILER=${CC}
		-DCMAKE_PREFIX_PATH=${PREFIX} -DCMAKE_BUILD_TYPE=Release -DLTO=${LTO})
	run(${CMAKE_COMMAND} --build ${FOLDER})
	run(${FOLDER}/user_static ${token})
endif()
run(${FOLDER}/user_shared ${token})
