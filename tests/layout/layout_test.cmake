# cmake -DROOT=the tree -DWORK=a folder of the test's own -P layout_test.cmake
include(${CMAKE_CURRENT_LIST_DIR}/check_includes.cmake)

check_includes(${ROOT} found)
if(found)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "against the arrows of the layout:\n  ${found}")
endif()

# The check itself: each of these includes must be found, and nothing else.
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/core/batching/queue.h "#include \"core/base/clock.h\"\n#include \"core/layer/layer.h\"\n")
file(WRITE ${WORK}/core/engine/engine.cc "#include <vector>\n#include <grpcpp/grpcpp.h>\n#include \"core/batching/queue.h\"\n")
file(WRITE ${WORK}/core/tensor/tensor.cc "#include \"attend/v1/tensor.pb.h\"\n#include <dnnl.hpp>\n")
file(WRITE ${WORK}/client/cli/main.cc "  #  include \"core/tensor/tensor.h\"\n#include \"attend/v1/tensor.pb.h\"\n")
file(WRITE ${WORK}/server/main.cc "#include \"core/engine/engine.h\"\n#include \"client/cpp/client.h\"\n")
file(WRITE ${WORK}/core/shed/shed.h "")
check_includes(${WORK} found)
list(SORT found)
set(expected
  "client/cli/main.cc may not include core/tensor/tensor.h"
  "core/batching/queue.h may not include core/layer/layer.h"
  "core/engine/engine.cc may not include grpcpp/grpcpp.h"
  "core/shed/shed.h: the room core/shed is new"
  "core/tensor/tensor.cc may not include attend/v1/tensor.pb.h"
  "core/tensor/tensor.cc may not include dnnl.hpp"
  "server/main.cc may not include client/cpp/client.h")
string(REGEX REPLACE "is new, [^;]*" "is new" found "${found}")
if(NOT found STREQUAL expected)
  list(JOIN found "\n  " found)
  message(FATAL_ERROR "the check found:\n  ${found}")
endif()
