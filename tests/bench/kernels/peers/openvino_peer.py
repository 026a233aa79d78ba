# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: ScaledDotProductAttention, float32 operands; for bfloat16 by its hint for inference."""

import numpy as np
import openvino
from openvino import opset13

import peer

CORE = openvino.Core()


def prepare(case, threads):
    shape = [1, case["heads"], case["queries"], case["head_dim"]]
    if case["queries"] != case["keys"] or case["heads"] != case["kv_heads"]:
        raise peer.Refusal("not asked of it")
    parameters = [opset13.parameter(shape, np.float32) for _ in range(3)]
    node = opset13.scaled_dot_product_attention(*parameters, causal=case["causal"])
    compiled = CORE.compile_model(openvino.Model([node], parameters), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": case["type"],
        "NUM_STREAMS": 1})
    random = np.random.default_rng(1)
    operands = [random.standard_normal(shape, dtype=np.float32) for _ in range(3)]
    request = compiled.create_infer_request()
    for index, operand in enumerate(operands):
        request.set_input_tensor(index, openvino.Tensor(operand, shared_memory=True))

    def rows(array):
        return lambda head: array[0, head]

    def error():
        got = np.array(request.get_output_tensor(0).data)
        return peer.attention_error(case, *(rows(operand) for operand in operands), rows(got))

    return request.infer, error


if __name__ == "__main__":
    peer.serve("openvino", prepare)
