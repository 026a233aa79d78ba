# SPDX-License-Identifier: Apache-2.0
"""Frames by hand that no client sends: floods, bombs and rubbish, beside a caller who is served.

The server may end such a connection, refuse its calls or ignore what came. It must not crash, hang,
keep memory or calls of it, or let it stop others.
"""

import os
import random
import socket
import struct
import threading

import numpy as np
import pytest
import server
from pages import get, wait_until

SEED = 20260728
BLOCKED_SECONDS = 2  # a server that reads no more has won
MEMORY_KIB = 256 << 10  # that a flood may add to a server which has served before

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10))
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def literal(name, value, index=False):
    """A header field of at most 126 bytes, which the decoder keeps if `index` (RFC 7541, 6.2)."""
    return (b"\x40" if index else b"\0") + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(literal(name, value) for name, value in (
    (b":method", b"POST"), (b":scheme", b"http"),
    (b":path", b"/attend.v1.AttentionService/ScaledDotProductAttention"),
    (b":authority", b"t"), (b"te", b"trailers"), (b"content-type", b"application/grpc")))
START = frame(SETTINGS, 0, 0)


def opened(stream):
    return frame(HEADERS, END_HEADERS, stream, CALL)


def streams(count):
    return range(1, 2 * count, 2)


def rapid_resets():
    for stream in streams(20_000):
        yield opened(stream) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def rapid_resets_within_a_message():
    for stream in streams(5_000):
        yield (opened(stream) + frame(DATA, 0, stream, b"\0\0\x10\0\0" + bytes(1000)) +
               frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))


def settings():
    for _ in range(20_000):
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535))


def windows_that_shrink_and_grow():
    yield opened(1)
    for i in range(20_000):
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, (i % 2) * 0x7fffffff))


def pings():
    for i in range(20_000):
        yield frame(PING, 0, 0, struct.pack(">Q", i))


def priorities():
    for stream in streams(50_000):
        yield frame(PRIORITY, 0, stream, struct.pack(">IB", 0, 1))


def continuations_without_end():
    yield frame(HEADERS, 0, 1, CALL)
    for i in range(20_000):
        yield frame(CONTINUATION, 0, 1, literal(b"name-%06d" % i, b"x" * 100) * 8)


def empty_continuations():
    yield frame(HEADERS, 0, 1, CALL)
    for _ in range(50_000):
        yield frame(CONTINUATION, 0, 1)


# A field that the decoder keeps, and then one byte for each of its copies.
BOMB = CALL + literal(b"bomb", b"x" * 120, index=True) + b"\xbe" * 16_000


def header_bombs():
    yield frame(SETTINGS, ACK, 0)
    for stream in streams(500):
        yield frame(HEADERS, END_HEADERS, stream, BOMB)


def header_bombs_without_acknowledgement():
    """gRPC 1.51 holds headers of up to 16 MiB until its settings are acknowledged."""
    yield from unacknowledged_bombs(50)


def unacknowledged_bombs(count):
    for stream in streams(count):
        yield frame(HEADERS, END_HEADERS, stream, BOMB)


def table_resizes():
    for stream in streams(2_000):
        yield frame(HEADERS, END_HEADERS, stream, b"\x20\x3f\xe1\x1f" * 500 + CALL)


def empty_data():
    yield opened(1)
    for _ in range(100_000):
        yield frame(DATA, 0, 1)


def data_of_one_byte():
    yield opened(1) + frame(DATA, 0, 1, b"\0\0\1\0\0")
    for _ in range(60_000):
        yield frame(DATA, 0, 1, b"x")


def data_beyond_the_window():
    yield opened(1) + frame(DATA, 0, 1, b"\0\x40\0\0\0")
    for _ in range(4_000):
        yield frame(DATA, 0, 1, bytes(16_384))


def data_of_no_stream():
    for stream in streams(2_000):
        yield frame(DATA, 0, stream, bytes(10_000))


def a_frame_of_the_largest_size():
    yield struct.pack(">I", 0xffffff)[1:] + bytes([DATA, 0]) + struct.pack(">I", 1)
    for _ in range(1_000):
        yield bytes(16_384)


def messages_without_end():
    """More messages than a unary call has."""
    yield opened(1)
    for _ in range(20_000):
        yield frame(DATA, 0, 1, b"\0\0\0\0\0" * 100)


def goaways():
    for _ in range(20_000):
        yield frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0))


def rubbish():
    generator = random.Random(SEED)
    for _ in range(2_000):
        yield frame(generator.randrange(12), generator.randrange(256), generator.randrange(8),
                    generator.randbytes(generator.randrange(200)))


def rubbish_in_headers():
    generator = random.Random(SEED)
    for stream in streams(2_000):
        yield frame(HEADERS, END_HEADERS, stream, generator.randbytes(generator.randrange(300)))


ATTACKS = (rapid_resets, rapid_resets_within_a_message, settings, windows_that_shrink_and_grow,
           pings, priorities, continuations_without_end, empty_continuations, header_bombs,
           header_bombs_without_acknowledgement, table_resizes, empty_data, data_of_one_byte,
           data_beyond_the_window, data_of_no_stream,
           a_frame_of_the_largest_size, messages_without_end, goaways, rubbish, rubbish_in_headers)


class Connection:
    """Sends until the server ends it or reads no more; reads only if told to.

    It has read the beginning of the server's settings: an acknowledgement before them counts for
    nothing.
    """

    def __init__(self, target, reads):
        host, port = target.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(BLOCKED_SECONDS)
        self.socket.sendall(PREFACE + START)
        self.received = bytearray(self.socket.recv(1 << 16))
        assert self.received
        self.reader = threading.Thread(target=self._read) if reads else None
        if self.reader:
            self.reader.start()

    def send(self, parts):
        try:
            pending = bytearray()
            for part in parts:
                pending += part
                if len(pending) > 1 << 16:
                    self.socket.sendall(pending)
                    pending.clear()
            self.socket.sendall(pending)
        except OSError:
            pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self.reader:
            self.reader.join()
        self.socket.close()

    def _read(self):
        while True:
            try:
                part = self.socket.recv(1 << 16)
                if not part:
                    return
                self.received += part
            except TimeoutError:
                continue
            except OSError:
                return


def metric(running, name):
    for line in get(running.metrics_url).splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def memory_kib(running, field):
    with open(f"/proc/{running.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))


def forget_peak(running):
    """Sets the process's VmHWM to its VmRSS (proc(5), clear_refs)."""
    with open(f"/proc/{running.process.pid}/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")


def call(running, timeout=30):
    tensor = running.stubs.tensor_pb2.Tensor(
        data_type=running.stubs.tensor_pb2.DATA_TYPE_FLOAT32, shape=[1, 2, 1, 4],
        data=np.ones(8, np.float32).tobytes())
    response = running.attention.ScaledDotProductAttention(
        running.stubs.attention_pb2.ScaledDotProductAttentionRequest(
            query=tensor, key=tensor, value=tensor), timeout=timeout)
    np.testing.assert_allclose(np.frombuffer(response.output.data, np.float32), 1)


@pytest.fixture(scope="module")
def running():
    with server.Server("--max-queue-delay=1m") as started:
        call(started)
        yield started


@pytest.mark.parametrize("reads", (True, False), ids=("reading", "deaf"))
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_serves_others_beside(running, attack, reads):
    forget_peak(running)
    before = memory_kib(running, "VmRSS")
    hostile = Connection(running.target, reads)
    sender = threading.Thread(target=hostile.send, args=(attack(),))
    sender.start()
    while sender.is_alive():
        call(running)
    call(running)
    peak = memory_kib(running, "VmHWM")
    hostile.close()
    wait_until("calls of the connection end", lambda: metric(running, "attend_calls") == 0)
    wait_until("the connection ends", lambda: metric(running, "attend_connections") == 1)
    if not os.environ.get("ATTEND_SANITIZE"):
        assert peak - before < MEMORY_KIB


def no_headers():
    yield frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, literal(b"te", b"trailers"))


def large_headers():
    yield frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, BOMB)


@pytest.mark.parametrize("what, attack", (
    ("pings", pings), ("headers", large_headers), ("call", no_headers)))
def test_counts_what_grpc_refuses_on_its_own(running, what, attack):
    name = f'attend_grpc_refusals_total{{what="{what}"}}'
    before = metric(running, name)
    hostile = Connection(running.target, reads=True)
    hostile.send(attack())
    wait_until("the refusal is counted", lambda: metric(running, name) > before)
    hostile.close()
    wait_until("the connection ends", lambda: metric(running, "attend_connections") == 1)


def test_bounds_the_streams_of_a_connection():
    with server.Server("--max-concurrent-streams=3") as one:
        call(one)
        greedy = Connection(one.target, reads=True)
        wait_until("the limit is announced",  # RFC 9113, 6.5.2: SETTINGS_MAX_CONCURRENT_STREAMS
                   lambda: struct.pack(">HI", 3, 3) in greedy.received)
        greedy.send([frame(SETTINGS, ACK, 0), *map(opened, (1, 3, 5))])
        wait_until("three calls are open", lambda: metric(one, "attend_calls") == 3)
        greedy.send([opened(7)])
        wait_until("the connection ends", lambda: metric(one, "attend_connections") == 1)
        call(one)
        greedy.close()


def test_refuses_large_headers_before_its_settings_are_acknowledged(running):
    hostile = Connection(running.target, reads=True)
    hostile.send([frame(HEADERS, END_HEADERS, 1, BOMB)])
    wait_until("the refusal", lambda: b"this server takes 8192" in hostile.received)
    wait_until("the call ends", lambda: metric(running, "attend_calls") == 0)
    hostile.close()
    wait_until("the connection ends", lambda: metric(running, "attend_connections") == 1)


@pytest.mark.skipif(bool(os.environ.get("ATTEND_SANITIZE")),
                    reason="sanitizers hold memory of their own")
@pytest.mark.parametrize("connections, receive", ((1, 192), (3, 192), (1, 32), (3, 32)))
def test_ends_connections_whose_headers_hold_more_memory_than_is_planned(connections, receive):
    # The headers reach a small --max-receive-bytes long before the plan; nobody else may notice.
    mib = 1 << 20
    budgets = {"request": 8, "receive": receive, "in-flight": 232 - receive}
    with server.Server(*(f"--max-{name}-bytes={size}MiB" for name, size in budgets.items())) as one:
        call(one)
        before = memory_kib(one, "VmRSS")
        hostile = [Connection(one.target, reads=True) for _ in range(connections)]
        senders = [threading.Thread(target=connection.send, args=(unacknowledged_bombs(1_000),))
                   for connection in hostile]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            call(one)
        wait_until("the connections end", lambda: metric(one, "attend_connections") == 1)
        assert metric(one, "attend_connections_ended_for_uploads_total") == connections
        # The budgets, what they do not count, and what comes until the memory is looked at.
        assert memory_kib(one, "VmHWM") - before < (232 + 128 + 384) * mib >> 10
        for connection in hostile:
            connection.close()
