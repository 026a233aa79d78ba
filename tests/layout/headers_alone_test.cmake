# SPDX-License-Identifier: Apache-2.0

# cmake -DCOMPILER=the C++ compiler -DWORK=a folder of the test's own -P headers_alone_test.cmake
# The check of headers that compile alone, itself: a header that stands alone must be accepted, and
# the same header without its include must be refused.
include(${CMAKE_CURRENT_LIST_DIR}/write_alone.cmake)

set(sample [=[
#if defined(ATTEND_SAMPLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_SAMPLE_INL_H_
#undef ATTEND_SAMPLE_INL_H_
#else
#define ATTEND_SAMPLE_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE hn::Vec<hn::ScalableTag<float>> Twice(hn::Vec<hn::ScalableTag<float>> v) {
  return hn::Add(v, v);
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
]=])

# compile(CONTENT OUT_RESULT OUT_TEXT)
function(compile content result text)
  file(WRITE ${WORK}/sample-inl.h "${content}")
  write_alone(sample-inl.h ${WORK}/alone.cc)
  # These are the targets of the project, as in core/simd/CMakeLists.txt.
  execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -DHWY_DISABLED_TARGETS=0x18f8
                          -I ${WORK} ${WORK}/alone.cc
                  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(${result} ${code} PARENT_SCOPE)
  set(${text} "${output}" PARENT_SCOPE)
endfunction()

compile("${sample}" result text)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "a header that stands alone is refused:\n${text}")
endif()

string(REPLACE "#include <hwy/highway.h>\n" "" broken "${sample}")
compile("${broken}" result text)
if(result EQUAL 0 OR NOT text MATCHES "HWY_BEFORE_NAMESPACE")
  message(FATAL_ERROR "a header without its include is accepted, or refused for this:\n${text}")
endif()
