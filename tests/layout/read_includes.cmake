# SPDX-License-Identifier: Apache-2.0

# list_sources(ROOT OUT): sets OUT to the sources under ROOT, relative to it, in order of name.
function(list_sources root out)
  file(GLOB_RECURSE sources RELATIVE ${root} ${root}/core/*.h ${root}/core/*.cc
       ${root}/server/*.h ${root}/server/*.cc ${root}/client/*.h ${root}/client/*.cc
       ${root}/proto/*.h ${root}/proto/*.cc)
  if(NOT sources)
    message(FATAL_ERROR "no sources under ${root}")
  endif()
  list(SORT sources)
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# read_includes(FILE OUT): sets OUT to the headers that FILE includes, as it spells them.
function(read_includes file out)
  file(STRINGS ${file} lines REGEX "^[ \t]*#[ \t]*include")
  set(headers)
  foreach(line ${lines})
    string(REGEX REPLACE ".*include[ \t]*[\"<]([^\">]+).*" "\\1" header "${line}")
    list(APPEND headers "${header}")
  endforeach()
  set(${out} ${headers} PARENT_SCOPE)
endfunction()
