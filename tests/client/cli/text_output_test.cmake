# SPDX-License-Identifier: Apache-2.0

# cmake -DROOT=the tree -DWORK=a folder of the test's own -P text_output_test.cmake
#
# Commands write text through client/cli/terminal.h, which escapes it: a source that writes in any
# other way could show a terminal what the network sent.
cmake_minimum_required(VERSION 3.25)

# The sources under ROOT that write to a stream by themselves, in OUT.
function(find_writers root out)
  file(GLOB sources RELATIVE ${root} ${root}/*.cc ${root}/*.h)
  set(found)
  foreach(source ${sources})
    file(READ ${root}/${source} text)
    string(REGEX REPLACE "//[^\n]*" "" text "${text}")
    if(text MATCHES "[^A-Za-z_](v?f?d?printf|F?PrintF|f?puts|putchar|putc|fputc|fwrite|perror|::write|std::(cout|cerr|clog))[^A-Za-z_]")
      list(APPEND found ${source})
    endif()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

find_writers(${ROOT}/client/cli found)
if(NOT found STREQUAL "terminal.cc")
  message(FATAL_ERROR "only client/cli/terminal.cc may write to a stream, but these do: ${found}")
endif()

# Each of these must be found, and nothing else.
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/a.cc "void F() { std::printf(\"a\"); }\n")
file(WRITE ${WORK}/b.cc "void F() { absl::PrintF(\"a\"); }\n")
file(WRITE ${WORK}/c.cc "void F() { std::cout << 1; }\n")
file(WRITE ${WORK}/d.cc "void F() { std::fputs(\"a\", stderr); }\n")
file(WRITE ${WORK}/e.cc "void F() { Print(stderr, \"a\"); PrintSummary(); WriteText(stdout, \"\"); }  // not puts()\n")
find_writers(${WORK} found)
if(NOT found STREQUAL "a.cc;b.cc;c.cc;d.cc")
  message(FATAL_ERROR "the check found: ${found}")
endif()
