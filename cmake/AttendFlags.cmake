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

# What ships is placed anywhere, linked before it starts, and read-only after.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
target_link_options(attend_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)

# For folders that serve or load checkpoints; tests/integration/hardening looks for it in the programs. Not
# under sanitizers, which find more and do not see into the checked functions of _FORTIFY_SOURCE.
# That one needs an optimised build; its level 2 is Debian's own.
add_library(attend_hardening INTERFACE)
if(NOT ATTEND_SANITIZE)
  target_compile_options(attend_hardening INTERFACE -fstack-protector-strong
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(attend_hardening INTERFACE -fcf-protection=full)
  endif()
endif()

# attend_library(NAME SOURCES... DEPS...): a static library of one folder, hardened where the folder
# says set(ATTEND_HARDEN ON).
function(attend_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC attend_flags)
  if(ATTEND_HARDEN)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:attend_hardening>)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()
