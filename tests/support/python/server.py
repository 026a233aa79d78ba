# SPDX-License-Identifier: Apache-2.0
"""An attend-server of the build, for the length of a `with`.

    with server.Server("--random-layer=r:embed_dim=8,num_heads=2") as running:
        stub = running.attention
"""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

import attend_client
import pytest

START_SECONDS = 120  # sanitizer builds on a loaded machine included
STOP_SECONDS = 60


def binary():
    """$ATTEND_SERVER_PROGRAM, which ctest sets to that of its build, or the release build's."""
    release = attend_client.ROOT / "build" / "release" / "bin" / "attend-server"
    return os.environ.get("ATTEND_SERVER_PROGRAM", str(release))


class StartFailure(Exception):
    """The server ended before it served; the text is its log."""


class Server:
    """Ports are free ones; the process is ended by its id and must then exit with 0."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="attend-test-")
        port_file = pathlib.Path(self.folder.name) / "ports.json"
        self.log_path = pathlib.Path(self.folder.name) / "server.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [binary(), "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--drain-delay=0s",
                 f"--port-file={port_file}", *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.ports = self._wait_for(port_file)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.folder.cleanup()
            raise
        self.target = self.ports["grpc"][0]
        self.metrics_url = f"http://{self.ports['metrics']}/metrics"
        self.stubs = attend_client.load_stubs()
        self.channel = attend_client.connect(self.target)
        self.attention = self.stubs.attention_pb2_grpc.AttentionServiceStub(self.channel)
        self.layers = self.stubs.layer_pb2_grpc.LayerServiceStub(self.channel)
        return self

    def __exit__(self, *error):
        self.channel.close()
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "nothing in time"
        log = self.log_path.read_text(errors="replace")
        self.folder.cleanup()
        if code != 0 and error[0] is None:
            raise AssertionError(f"the server answered SIGTERM with {code}:\n{log}")

    def _wait_for(self, port_file):
        step = 0.02
        for _ in range(round(START_SECONDS / step)):
            # Written as a whole: the server renames it into place once it serves.
            if port_file.exists():
                return json.loads(port_file.read_text())
            try:
                self.process.wait(step)
            except subprocess.TimeoutExpired:
                continue
            raise StartFailure(self.log_path.read_text(errors="replace"))
        raise StartFailure("not serving in time:\n" + self.log_path.read_text(errors="replace"))


def bfloat16_is_missing(failure):
    """Whether a start failed as it must on a CPU that cannot compute in bfloat16."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    return " avx512bw " not in flags and ("bf16" in str(failure) or "bfloat16" in str(failure))


@contextlib.contextmanager
def computing(compute, *arguments):
    """A Server whose layers compute in "f32" or "bf16"; skips the test where the CPU cannot."""
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(Server(*arguments))
        except StartFailure as failure:
            if compute == "bf16" and bfloat16_is_missing(failure):
                pytest.skip("this CPU cannot compute in bfloat16, and the server says so")
            raise
        yield started
