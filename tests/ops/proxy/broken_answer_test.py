# SPDX-License-Identifier: Apache-2.0
"""A server that breaks off in the middle of an answer, behind HAProxy and behind nginx: whoever calls
sees a code that gRPC does not call UNAVAILABLE, and the C++ client makes the call again."""

import contextlib
import os
import socket
import subprocess
import threading
import types

import attend_client
import grpc
import numpy as np
import pytest
import server
from proxies import behind, haproxy, nginx

STUBS = attend_client.load_stubs()
DATA, HEADERS = 0, 1  # types of frames (RFC 9113, section 6)
SECONDS = 60
# The code that a call ends with where its answer had begun.
CODES = {haproxy: grpc.StatusCode.UNKNOWN, nginx: grpc.StatusCode.INTERNAL}


def frames(receive):
    """(type, bytes) of each frame that comes, until the peer ends."""
    buffered = b""
    while received := receive(65536):
        buffered += received
        while len(buffered) >= 9:
            length = 9 + int.from_bytes(buffered[:3], "big")
            if len(buffered) < length:
                break
            yield buffered[3], buffered[:length]
            buffered = buffered[length:]


class Relay:
    """A port that passes connections on to `target`. `on_frame(type)` hears of each frame of an
    answer, and says whether the connection ends in the middle of it, which it may for DATA alone."""

    def __init__(self, target, on_frame):
        host, port = target.rsplit(":", 1)
        self.upstream, self.on_frame = (host, int(port)), on_frame
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.open, self.threads = [], []
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for end in [self.listener, *self.open]:
            self._end(end)
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        for end in [self.listener, *self.open]:
            end.close()

    def _start(self, run, *arguments):
        self.threads.append(threading.Thread(target=run, args=arguments))
        self.threads[-1].start()

    @staticmethod
    def _end(end):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(self.upstream, timeout=None)
                self.open += [near, far]
                self._start(self._pass_requests, near, far)
                self._start(self._pass_answers, near, far)

    def _pass_requests(self, near, far):
        with contextlib.suppress(OSError):
            while received := near.recv(65536):
                far.sendall(received)
        self._end(far)

    def _pass_answers(self, near, far):
        with contextlib.suppress(OSError):
            for kind, frame in frames(far.recv):
                if kind == DATA:
                    near.sendall(frame[:len(frame) // 2])
                if self.on_frame(kind):
                    break
                near.sendall(frame[len(frame) // 2:] if kind == DATA else frame)
        self._end(near)
        self._end(far)


class BreakingFleet:
    """Three addresses of one server whose next `times` answers break off, each once the caller has
    seen that it began; `fleet.nodes` is what a proxy's configuration is made of."""

    def __init__(self, stack, running):
        self.lock = threading.Lock()
        self.break_off(0)
        place = types.SimpleNamespace(metrics_port=running.ports["metrics"].rsplit(":", 1)[1])
        self.nodes = [
            types.SimpleNamespace(
                target=stack.enter_context(Relay(running.target, self._breaks)).target, place=place)
            for _ in range(3)]

    def break_off(self, times):
        self.left, self.begun = times, threading.Semaphore(0)

    def on_passed_frame(self, kind):
        """A relay between the caller and the proxy asks it about each frame of an answer."""
        if kind == HEADERS:
            self.begun.release()
        return False

    def _breaks(self, kind):
        with self.lock:
            if kind != DATA or self.left == 0:
                return False
            self.left -= 1
        return self.begun.acquire(timeout=SECONDS)


@pytest.fixture(scope="module", params=[haproxy, nginx])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def fleet():
    with server.Server("--random-layer=demo:embed_dim=64,num_heads=4,seed=1") as running, \
            contextlib.ExitStack() as stack:
        yield BreakingFleet(stack, running)


@pytest.fixture(scope="module")
def target(kind, fleet, tmp_path_factory):
    with behind(kind, fleet, tmp_path_factory.mktemp("proxy")) as proxied, \
            Relay(proxied, fleet.on_passed_frame) as near:
        yield near.target


def call(target, *arguments):
    return subprocess.run(
        [os.environ["ATTEND_CLI_PROGRAM"], "call", f"--server={target}", "--layer=demo",
         "--random=1x16x64", "-v", *arguments], check=False, capture_output=True, text=True,
        timeout=SECONDS)


def test_a_caller_that_does_not_repeat_calls_sees_it(kind, fleet, target):
    fleet.break_off(1)
    request = STUBS.attention_pb2.MultiHeadAttentionRequest(
        layer="demo", query=attend_client.to_tensor(STUBS, np.ones((1, 16, 64), np.float32)))
    with attend_client.connect(target) as channel:
        attention = STUBS.attention_pb2_grpc.AttentionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refusal:
            attention.MultiHeadAttention(request, timeout=SECONDS)
        assert refusal.value.code() == CODES[kind]
        assert attention.MultiHeadAttention(request, timeout=SECONDS).output.shape == [1, 16, 64]


def test_the_client_repeats_the_call(kind, fleet, target):
    fleet.break_off(2)
    ran = call(target)
    assert ran.returncode == 0 and ran.stderr.count(CODES[kind].name) == 2, ran.stderr


def test_the_client_gives_up_at_its_limit(kind, fleet, target):
    fleet.break_off(2)
    ran = call(target, "--max-attempts=2")
    assert ran.returncode != 0 and CODES[kind].name in ran.stderr, ran.stderr
