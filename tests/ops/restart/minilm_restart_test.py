# SPDX-License-Identifier: Apache-2.0
"""A server of a real model, all-MiniLM-L6-v2, is killed and started again at the same addresses, beside
the files that the killed one left: it becomes ready and answers as before. How long that takes is
printed, for docs/performance.md, and not asserted."""

import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

import attend_client
import numpy as np
import pytest
import server
from pages import get, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROUNDS = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Deployment:
    """A server whose addresses are chosen once, for the length of a `with`."""

    def __init__(self, model, folder):
        self.tcp, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.unix = f"unix:{folder}/attend.sock"
        self.left_behind = [folder / "attend.sock", folder / "ports.json"]
        self.log = folder / "server.log"
        self.command = [server.binary(), f"--model=minilm={model}", f"--listen={self.tcp}",
                        f"--listen={self.unix}", f"--metrics-listen={self.metrics}",
                        f"--port-file={folder}/ports.json"]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.kill()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(get(f"http://{self.metrics}/readyz"))
        except OSError:  # nobody listens yet, or the page says that it is not ready
            return False

    def answer(self, address):
        """What it computes, over a connection of its own."""
        stubs = attend_client.load_stubs()
        x = np.random.default_rng(1).standard_normal((16, 384), np.float32)
        with attend_client.connect(address) as channel:
            answer = stubs.attention_pb2_grpc.AttentionServiceStub(channel).MultiHeadAttention(
                stubs.attention_pb2.MultiHeadAttentionRequest(
                    layer="minilm/0", query=attend_client.to_tensor(stubs, x)), timeout=60)
        return answer.output.data


@pytest.fixture(scope="module")
def model():
    fetched = subprocess.run([sys.executable, ROOT / "client" / "examples" / "get_minilm.py",
                              "--out", os.environ["ATTEND_MODELS"]], check=True,
                             stdout=subprocess.PIPE, text=True)
    return fetched.stdout.splitlines()[-1]


def test_a_killed_server_is_ready_again_at_the_same_addresses(model, tmp_path):
    ready, answered = [], []
    with Deployment(model, tmp_path) as deployment:
        wait_until("the server is ready", deployment.is_ready)
        before = deployment.answer(deployment.tcp)
        for _ in range(ROUNDS):
            killed = time.monotonic()
            deployment.kill()
            assert all(file.exists() for file in deployment.left_behind)
            deployment.start()
            wait_until("the server is ready again", deployment.is_ready)
            ready.append(time.monotonic() - killed)
            assert deployment.answer(deployment.tcp) == before
            answered.append(time.monotonic() - killed)
            assert deployment.answer(deployment.unix) == before
    for what, seconds in (("ready", ready), ("first answer", answered)):
        print(f"from kill -9 to {what}: median {statistics.median(seconds):.2f} s, "
              f"{min(seconds):.2f} to {max(seconds):.2f} s")
