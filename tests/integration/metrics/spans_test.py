# SPDX-License-Identifier: Apache-2.0
"""Sampled requests arrive as spans at a collector that is made of OpenTelemetry's own stubs."""

import concurrent.futures
import contextlib
import socket
import subprocess
import threading
import time

import attend_client
import certificates
import grpc
import numpy as np
import pytest
import server
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from pages import get, wait_until

# The example of W3C Trace Context, section 3.2.
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
LAYER = "--random-layer=r:embed_dim=16,num_heads=2"


def traceparent(sampled=True):
    return ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-{'01' if sampled else '00'}")


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it receives; answers with the codes of `failures` first; hangs while told to."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.failures = []
        self.reject = 0
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def Export(self, request, context):
        with self.lock:
            self.requests.append(request)
            failure = self.failures.pop(0) if self.failures else None
        if self.hangs.is_set():
            self.goes_on.wait(60)
        if failure is not None:
            context.abort(failure, "not now")
        answer = trace_service_pb2.ExportTraceServiceResponse()
        if self.reject:
            answer.partial_success.rejected_spans = self.reject
            answer.partial_success.error_message = "too many"
        return answer

    def spans(self):
        """{request id: span} of all that has come."""
        with self.lock:
            return {attributes(span)["attend.request_id"]: span for request in self.requests
                    for resource in request.resource_spans for scope in resource.scope_spans
                    for span in scope.spans}


def attributes(message):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
            for pair in message.attributes}


@contextlib.contextmanager
def collecting(credentials=None):
    """A Collector and its port."""
    service = Collector()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        listener = grpc.server(threads)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(service, listener)
        port = (listener.add_secure_port("127.0.0.1:0", credentials) if credentials
                else listener.add_insecure_port("127.0.0.1:0"))
        listener.start()
        try:
            yield service, port
        finally:
            service.goes_on.set()
            listener.stop(0).wait()


@pytest.fixture(scope="module")
def serving():
    """A server and the collector of its spans."""
    with collecting() as (collector, port), \
            server.Server(LAYER, f"--otlp-endpoint=http://127.0.0.1:{port}",
                          "--log-format=json") as started:
        yield started, collector


@pytest.fixture
def running(serving):
    """The same for one test: pytest shows the server's log where the test fails."""
    yield serving
    print(serving[0].log_path.read_text())


def request(running, layer="r"):
    x = attend_client.to_tensor(running.stubs, np.ones((3, 16), np.float32))
    return running.stubs.attention_pb2.MultiHeadAttentionRequest(layer=layer, query=x)


def call(running, request_id, layer="r", sampled=True):
    future = running.attention.MultiHeadAttention.future(
        request(running, layer), timeout=60,
        metadata=[("x-request-id", request_id), traceparent(sampled)])
    return future.exception()


def span_of(collector, request_id):
    return wait_until(f"a span of {request_id}", lambda: collector.spans().get(request_id))


def test_describes_an_answered_request(running):
    started, collector = running
    before = time.time_ns()
    assert call(started, "good") is None
    span = span_of(collector, "good")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert len(span.span_id) == 8 and span.span_id.hex() not in (PARENT_ID, "0" * 16)
    assert span.name == "attend.v1.AttentionService/MultiHeadAttention"
    assert span.kind == trace_pb2.Span.SPAN_KIND_SERVER
    assert before <= span.start_time_unix_nano < span.end_time_unix_nano <= time.time_ns()
    assert span.status.code == trace_pb2.Status.STATUS_CODE_UNSET
    assert span.flags == (1 | trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
                          | trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
    found = attributes(span)
    assert found["attend.bytes_out"] > 3 * 16 * 4
    stages = [found.pop(f"attend.{stage}_ms") for stage in ("decode", "queue", "compute", "encode")]
    assert all(isinstance(time, float) and time >= 0 for time in stages)
    assert sum(stages) * 1e6 <= span.end_time_unix_nano - span.start_time_unix_nano
    found.pop("attend.bytes_out")
    assert found == {"rpc.system": "grpc", "rpc.service": "attend.v1.AttentionService",
                     "rpc.method": "MultiHeadAttention", "rpc.grpc.status_code": 0,
                     "attend.request_id": "good", "attend.layer": "r", "attend.rows": 3,
                     "attend.bytes_in": request(started).ByteSize()}


def test_tells_whose_spans_they_are(running):
    started, collector = running
    call(started, "resource")
    span_of(collector, "resource")
    resource = attributes(collector.requests[0].resource_spans[0].resource)
    info = started.stubs.server_pb2_grpc.ServerServiceStub(started.channel).GetServerInfo(
        started.stubs.server_pb2.GetServerInfoRequest(), timeout=60)
    assert resource == {"service.name": "attend", "service.version": info.version,
                        "attend.revision": info.revision}


def test_a_refusal_that_the_caller_caused_is_no_error_of_the_server(running):
    started, collector = running
    assert call(started, "refused", "nobody").code() == grpc.StatusCode.NOT_FOUND
    span = span_of(collector, "refused")
    found = attributes(span)
    assert (found["rpc.grpc.status_code"], found["attend.reason"]) == (5, "UNKNOWN_LAYER")
    assert span.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_marks_errors_and_holds_nothing_of_a_path_that_does_not_exist(running):
    started, collector = running
    unknown = started.channel.unary_unary("/attend.v1.AttentionService/Secret")
    with pytest.raises(grpc.RpcError):
        unknown(b"", timeout=60, metadata=[("x-request-id", "unknown-method"), traceparent()])
    span = span_of(collector, "unknown-method")
    assert span.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert span.name == "unknown"
    assert "Secret" not in str(span)


def test_describes_each_request_of_a_pipeline(running):
    started, collector = running
    messages = started.stubs.attention_pb2
    requests = [messages.PipelineRequest(id=7, multi_head_attention=request(started)),
                messages.PipelineRequest(id=8, multi_head_attention=request(started, "nobody"))]
    answers = started.attention.Pipeline(iter(requests), timeout=60, metadata=[
        ("x-request-id", "stream"), traceparent()])
    assert sorted(answer.id for answer in answers) == [7, 8]

    def both():
        found = {attributes(span)["attend.item"]: span for sent in list(collector.requests)
                 for span in sent.resource_spans[0].scope_spans[0].spans
                 if attributes(span)["attend.request_id"] == "stream"}
        return found if len(found) == 2 else None
    spans = wait_until("spans of the stream", both)
    for span in spans.values():
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
        assert span.name == "attend.v1.AttentionService/MultiHeadAttention"
    assert attributes(spans["8"])["attend.reason"] == "UNKNOWN_LAYER"
    assert spans["7"].span_id != spans["8"].span_id


def test_leaves_out_requests_that_are_not_sampled(running):
    started, collector = running
    call(started, "not-sampled", sampled=False)
    started.attention.MultiHeadAttention(request(started), timeout=60,
                                         metadata=[("x-request-id", "no-trace")])
    call(started, "after")
    span_of(collector, "after")  # spans are sent in the order of the ends
    assert not {"not-sampled", "no-trace"} & set(collector.spans())


def exported(started, result):
    line = f'attend_spans_total{{result="{result}"}} '
    return next(float(text[len(line):]) for text in get(started.metrics_url).splitlines()
                if text.startswith(line))


def test_counts_and_logs_what_the_collector_does_not_take():
    with collecting() as (collector, port), \
            server.Server(LAYER, f"--otlp-endpoint=http://127.0.0.1:{port}") as started:
        collector.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED]
        call(started, "dropped")
        wait_until("a span that is given up", lambda: exported(started, "failed") == 1)
        assert len(collector.requests) == 2 and collector.requests[0] == collector.requests[1]
        call(started, "taken")
        wait_until("a span that is taken", lambda: exported(started, "exported") == 1)
        collector.reject = 1
        call(started, "rejected")
        wait_until("a span that is rejected", lambda: exported(started, "failed") == 2)
        log = started.log_path.read_text()
        assert 'cannot export spans code="UNAVAILABLE" reason="not now"' in log
        assert "spans are exported again" in log
        assert 'the collector rejects spans spans="1" reason="too many"' in log


@pytest.mark.parametrize("state", ["down", "hangs"])
def test_a_collector_that_does_not_answer_costs_neither_calls_nor_the_end(state):
    with collecting() as (collector, port):
        if state == "down":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        collector.hangs.set()
        with server.Server(LAYER, f"--otlp-endpoint=http://127.0.0.1:{port}") as started:
            for i in range(20):
                assert call(started, f"call-{i}") is None
            if state == "hangs":
                wait_until("a call of the collector", lambda: collector.requests)
            started.process.terminate()
            # Without its limit the end would wait for the collector's 10 s, and the process for
            # ever where the call is not cancelled.
            assert started.process.wait(server.STOP_SECONDS) == 0
            assert "spans are lost, because the server ends" in started.log_path.read_text()


def test_sends_what_is_queued_when_the_server_ends():
    with collecting() as (collector, port):
        with server.Server(LAYER, f"--otlp-endpoint=http://127.0.0.1:{port}") as started:
            call(started, "last")
        assert "last" in collector.spans()


def test_sends_over_tls_to_a_collector_that_the_machine_trusts(tmp_path, monkeypatch):
    own = certificates.make(tmp_path, "collector")
    credentials = grpc.ssl_server_credentials(
        [(own.key.read_bytes(), own.certificate.read_bytes())])
    with collecting(credentials) as (collector, port):
        endpoint = f"--otlp-endpoint=https://127.0.0.1:{port}"
        with server.Server(LAYER, endpoint) as started:
            call(started, "not-trusted")
            wait_until("a failure", lambda: "cannot export spans" in started.log_path.read_text())
        monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(own.certificate))
        with server.Server(LAYER, endpoint) as started:
            call(started, "trusted")
            span_of(collector, "trusted")
        assert "not-trusted" not in collector.spans()


def test_refuses_to_send_plain_text_to_another_machine():
    arguments = [server.binary(), LAYER, "--otlp-endpoint=http://collector.example"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--otlp-endpoint=http://collector.example:4317 sends spans to another" in ended.stderr
