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
  # Into programs only: a symbol of the program comes before those of shared libraries. It is
  # compiled once, without attend_flags, which hands it on.
  add_library(attend_tsan_absl_mutex OBJECT ${CMAKE_SOURCE_DIR}/tests/support/tsan_absl_mutex.cc)
  target_include_directories(attend_tsan_absl_mutex PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(attend_tsan_absl_mutex PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
  target_sources(attend_flags INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:attend_tsan_absl_mutex>>)
endif()
find_program(ATTEND_MOLD mold)
if(ATTEND_MOLD AND NOT ATTEND_SANITIZE)
  target_link_options(attend_flags INTERFACE -fuse-ld=mold)
endif()

# What ships is placed anywhere, linked before it starts, and read-only after.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
target_link_options(attend_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)

# What ships is hardened; tests/integration/hardening looks for it in the programs. Not under
# sanitizers, which find more and do not see into the checked functions of _FORTIFY_SOURCE. That one
# needs an optimised build; its level 2 is Debian's own. Marks for control-flow protection cost an
# instruction per function, which does nothing.
add_library(attend_hardening INTERFACE)
if(NOT ATTEND_SANITIZE)
  target_compile_options(attend_hardening INTERFACE -fstack-protector-strong
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(attend_hardening INTERFACE -fcf-protection=full)
  endif()
endif()
target_link_libraries(attend_flags INTERFACE attend_hardening)

# attend_hot_sources(FILES...): kernels, whose functions keep tiles on the stack and are called once
# per tile or few rows. They have no stack protector, which would write and check a guard each time;
# all other hardening costs them nothing.
function(attend_hot_sources)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-stack-protector)
endfunction()

# attend_library(NAME SOURCES... DEPS...): a static library of one folder.
function(attend_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC attend_flags ${ARG_DEPS})
endfunction()
