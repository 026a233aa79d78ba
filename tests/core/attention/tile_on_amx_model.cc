// The kernels' tiles with a model of AMX in place of its instructions. A program that
// has this among its sources has it instead of the one in the library of core/attention,
// and computes bfloat16 through the model wherever the machine has AVX512-BF16.

#include "tests/core/attention/amx_model.h"

#define ATTEND_AMX_TILES AmxModel
#include "core/attention/tile.cc"
