# SPDX-License-Identifier: Apache-2.0

# Writes the file OUT from the template IN, with the commit that is built in place of
# @ATTEND_REVISION@, and leaves it alone where it would not change:
#   cmake -D SOURCE=DIR -D IN=FILE -D OUT=FILE [-D ATTEND_REVISION=REVISION] -P WriteRevision.cmake
# Without ATTEND_REVISION it is what git has checked out in SOURCE, or "unknown" where SOURCE is not
# the top of a working tree: a folder inside another project's must not take that one's commit.
if(NOT ATTEND_REVISION)
  set(ATTEND_REVISION unknown)
  find_program(GIT git)
  if(GIT AND EXISTS ${SOURCE}/.git)
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse HEAD
      OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
    if(NOT failed)
      set(ATTEND_REVISION ${head})
    endif()
  endif()
endif()
configure_file(${IN} ${OUT} @ONLY)
