# SPDX-License-Identifier: Apache-2.0

# check_target_guards(ROOT OUT): sets OUT to the -inl.h files under ROOT without Highway's guard
# per target, one message each. With an ordinary guard, a header would be compiled for the first
# SIMD target only, which compiling it alone cannot show.
function(check_target_guards root out)
  file(GLOB_RECURSE headers RELATIVE ${root} ${root}/core/*-inl.h)
  set(found)
  foreach(header ${headers})
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" guard ATTEND_${header}_)
    string(TOUPPER ${guard} guard)
    file(READ ${root}/${header} text)
    string(FIND "${text}" "#if defined(${guard}) == defined(HWY_TARGET_TOGGLE)
#ifdef ${guard}
#undef ${guard}
#else
#define ${guard}
#endif
" at)
    if(at EQUAL -1)
      list(APPEND found "${header} lacks the guard per target ${guard}")
    endif()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()
