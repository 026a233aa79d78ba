# SPDX-License-Identifier: Apache-2.0
find_package(GTest CONFIG REQUIRED)
include(GoogleTest)

# Every program that a unit test runs, for the image's build: `ctest -L '^unit$'` needs no other.
add_custom_target(unit_tests)

# Optimising a test costs more time than the faster test gains, all the more under sanitizers, unless
# it computes much to compare with. What it tests is optimised as elsewhere. A debug build optimises
# nothing. UBSan looks at what is tested, not at tests: in their sources it doubles the time of the
# compiler and of what they compute.
set(ATTEND_TEST_OPTIMISATION -Og)
if(ATTEND_SANITIZE)
  set(ATTEND_TEST_OPTIMISATION -O0)
endif()

# attend_optimise_tests(): those of this folder and below compute much to compare with.
macro(attend_optimise_tests)
  if(ATTEND_SANITIZE)
    set(ATTEND_TEST_OPTIMISATION -O1)
  endif()
endmacro()

add_library(attend_test_flags INTERFACE)
if(ATTEND_SANITIZE MATCHES "undefined")
  target_compile_options(attend_test_flags INTERFACE -fno-sanitize=undefined)
endif()

# attend_test(NAME SOURCES... DEPS... [LABELS...]): one GoogleTest program, one ctest entry.
# One entry a program, not one a case: starting a process costs more than most cases.
function(attend_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  if(ATTEND_SANITIZE STREQUAL "thread" AND one_thread IN_LIST ARG_LABELS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)  # the preset runs none of them
  endif()
  target_link_libraries(${name} PRIVATE attend_flags attend_test_flags ${ARG_DEPS}
    GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:${ATTEND_TEST_OPTIMISATION}>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(unit IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600)
endfunction()

# Where `dev` puts what the tests in Python and the ones with a real Prometheus need.
set(ATTEND_PYTHON ${CMAKE_SOURCE_DIR}/build/venv/bin/python CACHE FILEPATH
    "Python with tests/support/python/requirements.txt")
set(ATTEND_TOOLS ${CMAKE_SOURCE_DIR}/build/tools CACHE PATH "Folder of prometheus and promtool")

# attend_python_test(NAME SCRIPT path [LABELS...]): one file of pytest cases, one ctest entry.
# The programs under test are those of this build: ATTEND_SERVER_PROGRAM,
# ATTEND_CLI_PROGRAM; prometheus and promtool are in ATTEND_TOOLS.
function(attend_python_test name)
  cmake_parse_arguments(ARG "" "SCRIPT" "LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS integration)
  endif()
  add_test(NAME ${name} COMMAND ${ATTEND_PYTHON} -m pytest -q -p no:cacheprovider
           ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT})
  set(environment
    PYTHONPATH=${CMAKE_SOURCE_DIR}/tests/support/python:${CMAKE_SOURCE_DIR}/client/examples
    PYTHONDONTWRITEBYTECODE=1
    ATTEND_SERVER_PROGRAM=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/attend-server
    ATTEND_CLI_PROGRAM=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/attend
    ATTEND_TOOLS=${ATTEND_TOOLS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600
    ENVIRONMENT "${environment}")
endfunction()

# attend_test_on_each_isa(NAME [KERNELS]): the same program once more on each SIMD path, highest to
# be forced included. The variable holds for oneDNN and for our own kernels, and only from a
# process's start. What the machine has not is reported as skipped. Sanitizers run the tests of
# KERNELS so: nothing above them has code that depends on the path.
function(attend_test_on_each_isa name)
  cmake_parse_arguments(ARG "KERNELS" "" "" ${ARGN})
  if(ATTEND_SANITIZE AND NOT ARG_KERNELS)
    return()
  endif()
  add_dependencies(unit_tests require_cpu)
  set(paths SSE41 AVX2 AVX512_CORE AVX512_CORE_BF16 AVX512_CORE_AMX)
  set(features none avx2 avx512 avx512_bf16 amx_bf16)
  if(ATTEND_SANITIZE)
    # Each path once: the program takes the highest of its own, so a lower one is another only where
    # the machine has the feature of the next.
    list(POP_BACK paths)
    list(POP_FRONT features)
  endif()
  foreach(isa feature IN ZIP_LISTS paths features)
    # The feature is asked for without the variable, which would hide it.
    add_test(NAME ${name}_${isa} COMMAND require_cpu ${feature}
      ${CMAKE_COMMAND} -E env ONEDNN_MAX_CPU_ISA=${isa} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}_${isa} PROPERTIES LABELS "unit;isa" TIMEOUT 600
      SKIP_RETURN_CODE 77)
  endforeach()
endfunction()

# attend_test_with_each_matmul(NAME): the same program once more with each engine of projections,
# whichever the machine would choose (tests/support/matmul_from_environment.h). Sanitizers look at
# ours only, and ThreadSanitizer at that of the machine, because threads do not depend on it.
function(attend_test_with_each_matmul name)
  set(engines onednn panels)
  if(ATTEND_SANITIZE STREQUAL "thread")
    set(engines)
  elseif(ATTEND_SANITIZE)
    set(engines panels)
  endif()
  foreach(matmul ${engines})
    add_test(NAME ${name}_matmul_${matmul} COMMAND ${name})
    set_tests_properties(${name}_matmul_${matmul} PROPERTIES LABELS unit TIMEOUT 600
      ENVIRONMENT ATTEND_MATMUL=${matmul})
  endforeach()
endfunction()
