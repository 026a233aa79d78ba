# SPDX-License-Identifier: Apache-2.0
include(${CMAKE_CURRENT_LIST_DIR}/read_includes.cmake)

# find_circles(ROOT OUT): the circles of includes between files under ROOT, one message each, in
# OUT. x.h and x.cc are one node, because neither can be read without the other: if a.h includes
# b.h and b.cc includes a.h, the two cannot be understood, tested or reused one at a time.
#
# A depth-first search: a node is open while the search is below it, and an include of an open
# node closes a circle. Each circle is reported once, and every circle shares an include with one
# that is reported, so none is left when the list is empty.
function(find_circles root out)
  list_sources(${root} sources)
  set(nodes)
  foreach(source ${sources})
    _attend_node(${source} node)
    list(APPEND nodes ${node})
    read_includes(${root}/${source} headers)
    foreach(header ${headers})
      if(header MATCHES "^(core|server|client|proto|attend)/")
        _attend_node(${header} to)
        list(APPEND edges_${node} ${to})
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES nodes)
  set_property(GLOBAL PROPERTY attend_circles)
  foreach(node ${nodes})
    list(REMOVE_DUPLICATES edges_${node})
    set_property(GLOBAL PROPERTY attend_edges_${node} ${edges_${node}})
    set_property(GLOBAL PROPERTY attend_done_${node} FALSE)
  endforeach()
  foreach(node ${nodes})
    _attend_search(${node})
  endforeach()
  get_property(circles GLOBAL PROPERTY attend_circles)
  set(${out} ${circles} PARENT_SCOPE)
endfunction()

# Finds the name of a file's node. The public headers of the C++ client are included as
# attend/x.h and lie in client/cpp/attend/, their sources in client/cpp/.
function(_attend_node file out)
  string(REGEX REPLACE "\\.(h|cc)$" "" node ${file})
  string(REGEX REPLACE "^(client/cpp/)?attend/" "client/cpp/" node ${node})
  set(${out} ${node} PARENT_SCOPE)
endfunction()

# _attend_search(NODE OPEN...): searches below NODE, where OPEN are the nodes above it.
function(_attend_search node)
  set(open ${ARGN} ${node})
  get_property(edges GLOBAL PROPERTY attend_edges_${node})
  foreach(to ${edges})
    list(FIND open ${to} at)
    get_property(done GLOBAL PROPERTY attend_done_${to})
    if(to STREQUAL node OR done)
      continue()
    elseif(at EQUAL -1)
      _attend_search(${to} ${open})
    else()
      list(SUBLIST open ${at} -1 circle)
      list(JOIN circle " -> " circle)
      set_property(GLOBAL APPEND PROPERTY attend_circles "${circle} -> ${to}")
    endif()
  endforeach()
  set_property(GLOBAL PROPERTY attend_done_${node} TRUE)
endfunction()
