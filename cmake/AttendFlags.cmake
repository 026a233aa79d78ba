# SPDX-License-Identifier: Apache-2.0

# Every target of the project links attend_flags; nothing else sets compiler flags.
# No -march: one binary runs on every x86-64 machine and picks its SIMD paths at start.
add_library(attend_flags INTERFACE)
target_compile_options(attend_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
target_include_directories(attend_flags INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(attend_flags INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(ATTEND_SANITIZE)
  target_compile_options(attend_flags INTERFACE -fsanitize=${ATTEND_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(attend_flags INTERFACE -fsanitize=${ATTEND_SANITIZE})
endif()
if(ATTEND_LIBFUZZER)
  # Coverage, which guides the fuzzer; a fuzz target links the fuzzer itself.
  target_compile_options(attend_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ATTEND_SANITIZE STREQUAL "thread")
  # Into programs only: a symbol of the program comes before those of shared libraries.
  target_sources(attend_flags INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${CMAKE_SOURCE_DIR}/tests/support/tsan_absl_mutex.cc>)
endif()
find_program(ATTEND_MOLD mold)
if(ATTEND_MOLD AND NOT ATTEND_SANITIZE)
  target_link_options(attend_flags INTERFACE -fuse-ld=mold)
endif()

# attend_library(NAME SOURCES... DEPS...): a static library of one folder.
function(attend_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC attend_flags ${ARG_DEPS})
endfunction()
