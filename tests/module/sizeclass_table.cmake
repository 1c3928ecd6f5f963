# Runs GENERATOR and compares what it prints (kept in PRINTED) with TABLE, byte by byte.

execute_process(COMMAND ${GENERATOR} OUTPUT_FILE ${PRINTED} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
	message(FATAL_ERROR "${GENERATOR} failed: ${result}")
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${PRINTED} ${TABLE}
	RESULT_VARIABLE differs)
if(NOT differs EQUAL 0)
	message(FATAL_ERROR "${TABLE} is not what ${GENERATOR} prints: see ${PRINTED}")
endif()
