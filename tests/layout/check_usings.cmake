# SPDX-License-Identifier: Apache-2.0

# check_usings(ROOT OUT): the using-declarations under ROOT whose name its source does not mention
# again, one message each, in OUT.
function(check_usings root out)
  file(GLOB_RECURSE files RELATIVE ${root} ${root}/client/*.cc ${root}/core/*.cc ${root}/proto/*.cc
       ${root}/server/*.cc ${root}/tests/*.cc)
  list(SORT files)
  set(found)
  foreach(file ${files})
    file(READ ${root}/${file} text)
    # Brackets and semicolons mean something in CMake's lists.
    string(REGEX REPLACE "[][;]" " " text "${text}")
    string(REGEX MATCHALL "\n *using [A-Za-z0-9_:]*::[A-Za-z0-9_]+" declarations "${text}")
    foreach(declaration ${declarations})
      string(REGEX REPLACE ".*::" "" name "${declaration}")
      string(REGEX MATCHALL "[^A-Za-z0-9_]${name}[^A-Za-z0-9_]" mentions "${text}")
      list(LENGTH mentions count)
      if(count LESS 2)
        list(APPEND found "${file} does not need to use ${name}")
      endif()
    endforeach()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()
