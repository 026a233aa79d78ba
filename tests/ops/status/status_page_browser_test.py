# SPDX-License-Identifier: Apache-2.0
"""The status page in headless Chromium, beside calls: its charts and its state come from the server."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import threading

import attend_client
import numpy as np
import pytest
import server

CHROMIUM = shutil.which("chromium")
# For people to look at; written anew by each run.
SCREENSHOT = pathlib.Path(os.environ["ATTEND_SCREENSHOT"])
PAGE_SECONDS = 31  # the page looks at the server every 2 s


@contextlib.contextmanager
def load(running):
    """Calls without a pause, for the length of a `with`."""
    x = attend_client.to_tensor(running.stubs, np.ones((3, 16), np.float32))
    request = running.stubs.attention_pb2.MultiHeadAttentionRequest(layer="r", query=x)
    stop = threading.Event()

    def call():
        while not stop.is_set():
            running.attention.MultiHeadAttention(request, timeout=60)
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The page's document after some updates, and what Chromium said. It also leaves the screenshot."""
    SCREENSHOT.unlink(missing_ok=True)
    with server.Server("--random-layer=r:embed_dim=16,num_heads=2") as running, load(running):
        browser = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
             # The page's clock runs ahead of ours but waits for answers.
             f"--virtual-time-budget={PAGE_SECONDS * 1000}", "--dump-dom",
             f"--screenshot={SCREENSHOT}", "--window-size=1100,1200",
             f"http://{running.ports['metrics']}/"],
            text=True, capture_output=True, check=False, timeout=300)
    assert browser.returncode == 0, browser.stderr
    return browser.stdout, browser.stderr


def charts(document):
    """{id: (shown value, number of points)}"""
    return {found[0]: (found[1], len(found[2].split())) for found in re.findall(
        r'<figure id="(\w+)">.*?<b>(.*?)</b>.*?<polyline points="(.*?)"', document, re.DOTALL)}


def test_says_what_the_server_says(shown):
    assert re.search(r'<b id="state">ready</b>', shown[0])
    assert "<td>r</td><td>16</td><td>2</td>" in shown[0]


def test_charts_show_calls(shown):
    found = charts(shown[0])
    assert set(found) == {"requests", "errors", "p50", "p99", "queue", "oldest", "batch", "busy"}
    for name, (value, _) in found.items():
        assert value != "?", name
    assert float(found["requests"][0]) > 0
    assert re.fullmatch(r"[0-9.]+ m?s", found["p99"][0])
    assert float(found["batch"][0]) >= 1


@pytest.mark.parametrize("name", ["requests", "p99", "queue", "batch"])
def test_charts_are_updated(shown, name):
    assert charts(shown[0])[name][1] >= 3


def test_can_be_looked_at(shown):
    assert SCREENSHOT.read_bytes().startswith(b"\x89PNG")


def test_the_page_does_nothing_that_its_policy_forbids(shown):
    assert "Content Security Policy" not in shown[1]
    assert "CONSOLE" not in shown[1], shown[1]
