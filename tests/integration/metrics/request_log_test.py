# SPDX-License-Identifier: Apache-2.0
"""The server's log has one line for each refused request, failed or slow, and a sample of the others."""

import json

import attend_client
import grpc
import numpy as np
import pytest
import server
from pages import wait_until

# The example of W3C Trace Context, section 3.2.
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LAYER = "--random-layer=r:embed_dim=16,num_heads=2"


def request(running, layer="r"):
    x = attend_client.to_tensor(running.stubs, np.ones((3, 16), np.float32))
    return running.stubs.attention_pb2.MultiHeadAttentionRequest(layer=layer, query=x)


def call(running, layer="r", metadata=()):
    """The trailers of a call, whether it succeeds or not."""
    future = running.attention.MultiHeadAttention.future(request(running, layer), timeout=60,
                                                         metadata=metadata)
    future.exception()
    return dict(future.trailing_metadata())


def lines(running):
    return [json.loads(line) for line in running.log_path.read_text().splitlines()]


def line_of(running, request_id):
    def find():
        return [line for line in lines(running) if line.get("request_id") == request_id]
    found = wait_until(f"a line of {request_id}", find)
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def running():
    """Logs every request."""
    with server.Server(LAYER, "--log-format=json", "--log-sample=1", "--log-slow=0s") as started:
        yield started


def test_describes_a_good_request(running):
    call(running, metadata=[("x-request-id", "good"), ("traceparent", TRACE)])
    line = line_of(running, "good")
    assert (line["level"], line["message"]) == ("info", "request")
    assert (line["method"], line["layer"], line["code"]) == ("MultiHeadAttention", "r", "OK")
    assert line["traceparent"] == TRACE
    assert "127.0.0.1" in line["caller"] and running.target not in line["caller"]
    assert int(line["bytes_in"]) == request(running).ByteSize()
    assert int(line["bytes_out"]) > 3 * 16 * 4
    stages = {stage: float(line[f"{stage}_ms"]) for stage in ("decode", "queue", "compute", "encode")}
    # An idle server may begin to compute in the moment in which a request is queued.
    assert all(time > 0 for stage, time in stages.items() if stage != "queue")
    assert sum(stages.values()) <= float(line["total_ms"])


def test_describes_a_refused_request(running):
    call(running, "nobody", [("x-request-id", "refused")])
    line = line_of(running, "refused")
    assert (line["level"], line["message"]) == ("warning", "request refused")
    assert (line["layer"], line["code"], line["reason"]) == ("nobody", "NOT_FOUND", "UNKNOWN_LAYER")
    assert "traceparent" not in line


def test_describes_a_call_of_a_method_that_does_not_exist(running):
    unknown = running.channel.unary_unary("/attend.v1.AttentionService/No\x1b[2J")
    with pytest.raises(grpc.RpcError):
        unknown(b"", timeout=60, metadata=[("x-request-id", "unknown-method")])
    line = line_of(running, "unknown-method")
    assert (line["message"], line["method"], line["code"]) == ("request refused", "", "UNIMPLEMENTED")


def test_describes_each_request_of_a_pipeline(running):
    messages = running.stubs.attention_pb2
    requests = [messages.PipelineRequest(id=7, multi_head_attention=request(running)),
                messages.PipelineRequest(id=8, multi_head_attention=request(running, "nobody"))]
    answers = running.attention.Pipeline(iter(requests), timeout=60, metadata=[
        ("x-request-id", "stream"), ("traceparent", TRACE)])
    assert sorted(answer.id for answer in answers) == [7, 8]
    assert dict(answers.trailing_metadata())["traceparent"] == TRACE

    def both():
        found = [line for line in lines(running) if line.get("request_id") == "stream"]
        return found if len(found) == 2 else None
    by_item = {line["item"]: line for line in wait_until("lines of the stream", both)}
    assert (by_item["7"]["code"], by_item["7"]["layer"]) == ("OK", "r")
    assert float(by_item["7"]["compute_ms"]) > 0
    assert by_item["8"]["reason"] == "UNKNOWN_LAYER"
    assert {line["traceparent"] for line in by_item.values()} == {TRACE}


@pytest.mark.parametrize("given", [TRACE, TRACE.upper(), "00-1-2-3", None])
def test_echoes_a_traceparent_that_is_valid(running, given):
    trailers = call(running, metadata=[("traceparent", given)] if given else [])
    assert trailers.get("traceparent") == (TRACE if given == TRACE else None)


def test_echoes_it_to_a_refused_call(running):
    assert call(running, "nobody", [("traceparent", TRACE)])["traceparent"] == TRACE


def test_logs_slow_requests_and_no_others_where_asked():
    with server.Server(LAYER, "--log-format=json", "--log-sample=0", "--log-slow=1us") as running:
        call(running, metadata=[("x-request-id", "slow")])
        assert line_of(running, "slow")["message"] == "request was slow"


def test_logs_refused_requests_alone_where_asked():
    with server.Server(LAYER, "--log-format=json", "--log-sample=0", "--log-slow=0s") as running:
        call(running, metadata=[("x-request-id", "good")])
        call(running, "nobody", [("x-request-id", "refused")])
        line_of(running, "refused")
        assert not [line for line in lines(running) if line.get("request_id") == "good"]


def test_a_flood_of_refusals_leaves_few_lines():
    with server.Server(LAYER, "--log-format=json") as running:
        for _ in range(500):
            call(running, "nobody")
        refused = [line for line in lines(running) if line["message"] == "request refused"]
        times = {line["time"][:19] for line in refused}
        # Ten in a second, where seconds of the limit and of the clock begin at different times.
        assert 1 <= len(refused) <= 10 * (len(times) + 1)
