# SPDX-License-Identifier: Apache-2.0

# check_licence_lines(ROOT OUT): the sources under ROOT whose first line, after a shebang, is not
# the SPDX line of the licence, one message each, in OUT. Sources are C++, CMake, Python, the
# contract, the callers of stubs, and scripts, which are known by their shebang.
function(check_licence_lines root out)
  file(GLOB_RECURSE files RELATIVE ${root} ${root}/client/* ${root}/cmake/* ${root}/core/* ${root}/deploy/*
       ${root}/proto/* ${root}/server/* ${root}/tests/*)
  file(GLOB top RELATIVE ${root} ${root}/* ${root}/.ci/*)
  list(SORT files)
  set(found)
  foreach(file ${top} ${files})
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "\\.in$" "" name ${name})
    if(name MATCHES "\\.(cc|go|h|java|proto)$")
      set(line "// SPDX-License-Identifier: Apache-2.0")
    elseif(name MATCHES "\\.(cmake|py)$|^CMakeLists\\.txt$|^[a-z-]+$")
      set(line "# SPDX-License-Identifier: Apache-2.0")
    else()
      continue()
    endif()
    if(IS_DIRECTORY ${root}/${file})
      continue()
    endif()
    file(STRINGS ${root}/${file} lines LIMIT_COUNT 2)
    list(POP_FRONT lines first)
    if(first MATCHES "^#!")
      list(POP_FRONT lines first)
    elseif(name MATCHES "^[a-z-]+$")
      continue()  # a file without an extension that is no script
    endif()
    if(NOT first STREQUAL line)
      list(APPEND found "${file} does not begin with ${line}")
    endif()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()
