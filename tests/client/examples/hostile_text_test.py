# SPDX-License-Identifier: Apache-2.0
"""The example clients against a server whose every text tries to take over the terminal."""

import concurrent.futures
import pathlib
import subprocess

import grpc
import numpy as np
import pytest

import attend_client
import server

# Escape sequences in 7 and 8 bits, a bell, a forged line, an override of direction, invisible text.
HOSTILE = "x\x1b[2J\x1b]0;t\x07\u009b31m\nall is well\r\u202egnp\u2066\u200b\U000e0041\u00ad\x7f"
SHOWN = "x\\x1b[2J"
EXAMPLES = pathlib.Path(server.binary()).parents[1] / "examples"


@pytest.fixture
def hostile():
    """A server that warns and, for a layer "bad", fails, in hostile words."""
    stubs = attend_client.load_stubs()
    pb = stubs.attention_pb2

    def answer(request):
        return pb.MultiHeadAttentionResponse(output=request.query, warnings=[HOSTILE])

    class Attention(stubs.attention_pb2_grpc.AttentionServiceServicer):
        def MultiHeadAttention(self, request, context):
            if request.layer == "bad":
                context.abort(grpc.StatusCode.INTERNAL, HOSTILE)
            return answer(request)

        def Pipeline(self, requests, context):
            for request in requests:
                response = pb.PipelineResponse(id=request.id)
                if request.multi_head_attention.layer == "bad":
                    response.status.code = grpc.StatusCode.INTERNAL.value[0]
                    response.status.message = HOSTILE
                else:
                    response.multi_head_attention.CopyFrom(answer(request.multi_head_attention))
                yield response

    serving = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    stubs.attention_pb2_grpc.add_AttentionServiceServicer_to_server(Attention(), serving)
    port = serving.add_insecure_port("127.0.0.1:0")
    serving.start()
    yield f"127.0.0.1:{port}"
    serving.stop(None).wait()


def run(program, *arguments):
    """What an example writes on standard output and standard error, all of it printable ASCII."""
    ran = subprocess.run([EXAMPLES / f"attend_example_{program}", *arguments],
                         capture_output=True, timeout=60)
    out, error = ran.stdout.decode("latin-1"), ran.stderr.decode("latin-1")
    for text in (out, error):
        assert all(line.isascii() and line.isprintable() for line in text.split("\n")), text
        assert "\nall is well" not in text
    return ran.returncode, out, error


def test_a_warning_is_printed_escaped_by_the_python_client(hostile, capsys):
    client = attend_client.Client(hostile)
    rows = np.ones((3, 4), np.float32)
    for _ in range(2):
        assert client.call_layer("l", rows).warnings == [HOSTILE]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {SHOWN}") and line.isascii() and line.isprintable()


def test_one_call_prints_warnings_and_errors_escaped(hostile):
    code, out, error = run("call", hostile, "l", "3", "4")
    assert code == 0 and "output [1, 3, 4]" in out
    assert error.count(f"warning: {SHOWN}") == 1

    code, out, error = run("call", hostile, "bad", "3", "4")
    assert code == 1 and out == "" and f"INTERNAL: {SHOWN}" in error


def test_a_pipeline_prints_each_warning_once_and_errors_escaped(hostile):
    code, out, error = run("pipeline", hostile, "l", "3", "4", "5")
    assert code == 0 and "5 of 5 requests answered" in out
    assert error.count(f"warning: {SHOWN}") == 1

    code, out, error = run("pipeline", hostile, "bad", "3", "4", "2")
    assert code == 1 and "0 of 2 requests answered" in out
    assert error.count(f"INTERNAL: {SHOWN}") == 2
