# SPDX-License-Identifier: Apache-2.0
"""Pages over HTTP, and states that show only from outside a process."""

import time
import urllib.request

import pytest

PATIENCE_SECONDS = 60

# Connects straight to loopback, whatever proxies the machine is configured for.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url):
    with OPENER.open(url, timeout=30) as answer:
        return answer.read().decode()


def wait_until(what, probe):
    """Polls probe() until it is true, and returns what it returned then."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"not in {PATIENCE_SECONDS} s: {what}")
