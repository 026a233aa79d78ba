# SPDX-License-Identifier: Apache-2.0

# Which revision WriteRevision.cmake writes: for `cmake -D SCRIPT=FILE -D WORK=DIR -P`.
file(REMOVE_RECURSE ${WORK})
set(SOURCE ${WORK}/repository)
file(MAKE_DIRECTORY ${SOURCE}/inside)
file(WRITE ${WORK}/in "revision @ATTEND_REVISION@\n")

# expect(SOURCE REVISION [ARGUMENT...]): what the script writes for these sources and arguments.
function(expect source revision)
  execute_process(COMMAND ${CMAKE_COMMAND} -D SOURCE=${source} -D IN=${WORK}/in -D OUT=${WORK}/out
    ${ARGN} -P ${SCRIPT} COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${WORK}/out written)
  if(NOT written STREQUAL "revision ${revision}\n")
    message(SEND_ERROR "expected revision ${revision}, got: ${written}")
  endif()
endfunction()

# git(OUT ARGUMENT...): runs git in the repository as nobody in particular.
function(git out)
  execute_process(COMMAND ${GIT} -C ${SOURCE} -c user.name=t -c user.email=t@localhost
    -c commit.gpgsign=false ${ARGN}
    OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Without git: what the builder says, or that nobody knows.
expect(${SOURCE}/inside unknown)
expect(${SOURCE}/inside c0ffee -D ATTEND_REVISION=c0ffee)
find_program(GIT git)
if(NOT GIT)
  return()  # as where the image is built
endif()

# With git: the newest commit, or still what the builder says. Before the first commit there is none.
git(ignored init --quiet)
expect(${SOURCE} unknown)
git(ignored commit --quiet --allow-empty -m one)
git(one rev-parse HEAD)
expect(${SOURCE} ${one})
expect(${SOURCE} c0ffee -D ATTEND_REVISION=c0ffee)
git(ignored commit --quiet --allow-empty -m two)
git(two rev-parse HEAD)
if(one STREQUAL two)
  message(SEND_ERROR "the commits of this test are the same")
endif()
expect(${SOURCE} ${two})

# Nothing is compiled anew for the same commit.
file(TIMESTAMP ${WORK}/out before "%s%f")
expect(${SOURCE} ${two})
file(TIMESTAMP ${WORK}/out after "%s%f")
if(NOT before STREQUAL after)
  message(SEND_ERROR "the file was written although it did not change")
endif()

# An archive of the sources that lies inside the repository of somebody else.
expect(${SOURCE}/inside unknown)
