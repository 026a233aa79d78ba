# SPDX-License-Identifier: Apache-2.0

# cmake -DROOT=the tree -DWORK=a folder of the test's own -P layout_test.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/check_includes.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/check_licence_lines.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/check_target_guards.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/check_usings.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/find_circles.cmake)

check_includes(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "against the arrows of the layout:\n  ${found}")
endif()
find_circles(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "files include each other in a circle:\n  ${found}")
endif()
check_target_guards(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "headers of kernels without their guard:\n  ${found}")
endif()
check_licence_lines(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "sources without the line of the licence:\n  ${found}")
endif()
check_usings(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "names that are used and not mentioned:\n  ${found}")
endif()

# The following tests the checks. First the arrows: each of these includes must be found, and
# nothing else.
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/core/batching/queue.h "#include \"core/base/clock.h\"\n#include \"core/layer/layer.h\"\n")
file(WRITE ${WORK}/core/engine/engine.cc "#include <vector>\n#include <grpcpp/grpcpp.h>\n#include \"core/batching/queue.h\"\n")
file(WRITE ${WORK}/core/tensor/tensor.cc "#include \"attend/v1/tensor.pb.h\"\n#include <dnnl.hpp>\n")
file(WRITE ${WORK}/client/cli/main.cc "  #  include \"core/tensor/tensor.h\"\n#include \"attend/v1/tensor.pb.h\"\n")
file(WRITE ${WORK}/client/cli/load.h "#include \"attend/client.h\"\n#include \"client/cpp/mutex.h\"\n")
file(WRITE ${WORK}/server/main.cc "#include \"core/engine/engine.h\"\n#include \"client/cpp/client.h\"\n#include <openssl/evp.h>\n")
file(WRITE ${WORK}/core/base/bytes.cc "#include \"proto/wire/bytes.h\"\n")
file(WRITE ${WORK}/proto/wire/reader.cc "#include \"proto/wire/reader.h\"\n#include \"server/codec/fields.h\"\n")
file(WRITE ${WORK}/server/codec/fields.h "#include \"proto/wire/reader.h\"\n")
file(WRITE ${WORK}/core/shed/shed.h "")
check_includes(${WORK} found)
list(SORT found)
set(expected
  "client/cli/load.h may not include client/cpp/mutex.h"
  "client/cli/main.cc may not include core/tensor/tensor.h"
  "core/base/bytes.cc may not include proto/wire/bytes.h"
  "core/batching/queue.h may not include core/layer/layer.h"
  "core/engine/engine.cc may not include grpcpp/grpcpp.h"
  "core/shed/shed.h: the room core/shed is new"
  "core/tensor/tensor.cc may not include attend/v1/tensor.pb.h"
  "core/tensor/tensor.cc may not include dnnl.hpp"
  "proto/wire/reader.cc may not include server/codec/fields.h"
  "server/main.cc may not include client/cpp/client.h"
  "server/main.cc may not include openssl/evp.h")
string(REGEX REPLACE "is new, [^;]*" "is new" found "${found}")
if(NOT found STREQUAL expected)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check of arrows found:\n  ${found}")
endif()

# Then the circles. queue.h includes nothing; its circle closes through queue.cc. client.h of the
# public headers is one node with client.cc. d.h is included twice without a circle.
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/core/batching/queue.h "")
file(WRITE ${WORK}/core/batching/queue.cc "#include \"core/batching/queue.h\"\n#include \"core/batching/policy.h\"\n")
file(WRITE ${WORK}/core/batching/policy.h "#include \"core/batching/queue.h\"\n#include <vector>\n")
file(WRITE ${WORK}/core/simd/a-inl.h "#include \"core/simd/b-inl.h\"\n")
file(WRITE ${WORK}/core/simd/b-inl.h "#include \"core/simd/c-inl.h\"\n#include \"core/simd/d.h\"\n")
file(WRITE ${WORK}/core/simd/c-inl.h "#include \"core/simd/d.h\"\n#include \"core/simd/a-inl.h\"\n")
file(WRITE ${WORK}/core/simd/d.h "#include \"core/base/e.h\"\n")
file(WRITE ${WORK}/client/cpp/attend/client.h "")
file(WRITE ${WORK}/client/cpp/client.cc "#include \"client/cpp/channel.h\"\n")
file(WRITE ${WORK}/client/cpp/channel.h "#include \"attend/client.h\"\n")
find_circles(${WORK} found)
set(expected
  "client/cpp/client -> client/cpp/channel -> client/cpp/client"
  "core/batching/policy -> core/batching/queue -> core/batching/policy"
  "core/simd/a-inl -> core/simd/b-inl -> core/simd/c-inl -> core/simd/a-inl")
if(NOT found STREQUAL expected)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check of circles found:\n  ${found}")
endif()

# Then the guards per target, which must name their own header.
file(REMOVE_RECURSE ${WORK})
set(guard "#if defined(G) == defined(HWY_TARGET_TOGGLE)\n#ifdef G\n#undef G\n#else\n#define G\n#endif\n")
string(REPLACE "G)" "ATTEND_CORE_SIMD_GOOD_INL_H_)" good "${guard}")
string(REPLACE " G\n" " ATTEND_CORE_SIMD_GOOD_INL_H_\n" good "${good}")
file(WRITE ${WORK}/core/simd/good-inl.h "${good}")
file(WRITE ${WORK}/core/simd/copied-inl.h "${good}")
file(WRITE ${WORK}/core/simd/once-inl.h "#pragma once\n")
file(WRITE ${WORK}/core/simd/plain.h "#pragma once\n")
check_target_guards(${WORK} found)
set(expected
  "core/simd/copied-inl.h lacks the guard per target ATTEND_CORE_SIMD_COPIED_INL_H_"
  "core/simd/once-inl.h lacks the guard per target ATTEND_CORE_SIMD_ONCE_INL_H_")
if(NOT found STREQUAL expected)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check of guards found:\n  ${found}")
endif()

# Then the lines of the licence.
file(REMOVE_RECURSE ${WORK})
set(spdx "SPDX-License-Identifier: Apache-2.0\n")
file(WRITE ${WORK}/core/base/good.h "// ${spdx}#ifndef A\n")
file(WRITE ${WORK}/core/base/late.cc "#include <vector>\n// ${spdx}")
file(WRITE ${WORK}/core/base/CMakeLists.txt "# ${spdx}")
file(WRITE ${WORK}/core/base/notes.txt "no source\n")
file(WRITE ${WORK}/deploy/good-script "#!/bin/sh\n# ${spdx}")
file(WRITE ${WORK}/dev "#!/bin/sh\nset -e\n")
file(WRITE ${WORK}/client/cli/other.py "# SPDX-License-Identifier: MIT\n")
file(WRITE ${WORK}/cmake/version.h.in "")
check_licence_lines(${WORK} found)
set(expected
  "dev does not begin with # SPDX-License-Identifier: Apache-2.0"
  "client/cli/other.py does not begin with # SPDX-License-Identifier: Apache-2.0"
  "cmake/version.h.in does not begin with // SPDX-License-Identifier: Apache-2.0"
  "core/base/late.cc does not begin with // SPDX-License-Identifier: Apache-2.0")
if(NOT found STREQUAL expected)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check of licence lines found:\n  ${found}")
endif()

# Finally the using-declarations. An alias is none, and a longer name does not mention a shorter one.
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/core/base/good.cc "\nusing testing::Not;\nusing Alias = testing::Other;\nint a[] = {Not(1)};\n")
file(WRITE ${WORK}/tests/core/bad.cc "{\n  using ::testing::Is;\nusing testing::Eq;\nIsEmpty(); NotIs(); Eq(\"[;\");\n")
check_usings(${WORK} found)
if(NOT found STREQUAL "tests/core/bad.cc does not need to use Is")
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check of using-declarations found:\n  ${found}")
endif()
