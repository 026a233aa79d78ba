# SPDX-License-Identifier: Apache-2.0

# cmake -DBUILD=... -DWORK=... -DSOURCE=... -P consumer.cmake: installs
# the client into an empty tree and builds and runs a project that finds it there.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGV}\n${out}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --component client --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_CXX_COMPILER=${COMPILER}
  -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
run(${WORK}/build/mock_test)

# The same program without CMake.
file(GLOB_RECURSE pc_files ${WORK}/prefix/*.pc)
get_filename_component(pc_folder "${pc_files}" DIRECTORY)
find_program(PKG_CONFIG pkg-config REQUIRED)
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_folder}
    ${PKG_CONFIG} --cflags --libs attend
  OUTPUT_VARIABLE options OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(options UNIX_COMMAND "${options}")
run(${COMPILER} -std=c++20 ${SOURCE}/main.cc -o ${WORK}/without_cmake ${options})
run(${WORK}/without_cmake)
