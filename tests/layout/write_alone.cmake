# SPDX-License-Identifier: Apache-2.0

# write_alone(HEADER SOURCE): writes the translation unit SOURCE, which includes HEADER and nothing
# that could lend it an include or a declaration. Unchanged files keep their time.
function(write_alone header source)
  configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/alone.cc.in ${source} @ONLY)
endfunction()
