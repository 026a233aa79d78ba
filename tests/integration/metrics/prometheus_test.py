# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus scrapes a server: its answers add up to the calls that were sent."""

import json
import subprocess

import attend_client
import grpc
import numpy as np
import pytest
import server
from pages import get, wait_until
from prometheus_server import TOOLS, scraping, series

GOOD_CALLS = 5


def send(running):
    """GOOD_CALLS answered calls and one for a layer that does not exist."""
    x = attend_client.to_tensor(running.stubs, np.ones((3, 16), np.float32))
    request = running.stubs.attention_pb2.MultiHeadAttentionRequest(layer="r", query=x)
    for _ in range(GOOD_CALLS):
        running.attention.MultiHeadAttention(request, timeout=60)
    request.layer = "nobody"
    with pytest.raises(grpc.RpcError) as refused:
        running.attention.MultiHeadAttention(request, timeout=60)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def running():
    with server.Server("--random-layer=r:embed_dim=16,num_heads=2") as started:
        send(started)
        yield started


@pytest.fixture(scope="module")
def prometheus(running):
    with scraping(running.ports["metrics"]) as base:
        yield base


def query(prometheus, expression):
    """{labels' values, sorted by name: value} of an instant query."""
    return {tuple(value for name, value in sorted(found["metric"].items())
                  if name not in ("__name__", "instance", "job")): float(found["value"][1])
            for found in series(prometheus, expression)}


def test_promtool_finds_nothing_to_say_about_the_scrape(running):
    check = subprocess.run([TOOLS / "promtool", "check", "metrics"], text=True,
                           input=get(running.metrics_url), capture_output=True, check=False)
    assert (check.returncode, check.stdout + check.stderr) == (0, "")


def test_counts_every_request_once_by_its_code(prometheus):
    def sums():
        found = query(prometheus, 'sum by (code) (attend_requests_total'
                                  '{method=~".*MultiHeadAttention"}) > 0')
        return found if len(found) == 2 else None
    assert wait_until("requests are counted", sums) == {("OK",): GOOD_CALLS, ("NOT_FOUND",): 1}


def test_says_why_requests_were_refused(prometheus):
    reasons = wait_until("reasons", lambda: query(
        prometheus, "attend_rejected_total and on() sum(attend_rejected_total) > 0"))
    assert reasons.pop(("unknown_layer",)) == 1
    assert ("queue_full",) in reasons
    assert set(reasons.values()) == {0.0}


def test_counts_requests_tokens_and_bytes(prometheus):
    def layers():
        return query(prometheus, "attend_layer_requests_total > 0")
    assert wait_until("layers are counted", layers) == {("r",): GOOD_CALLS}
    assert query(prometheus, "attend_layer_tokens_total") == {("r",): 3 * GOOD_CALLS}
    counted = query(prometheus, "attend_message_bytes_total")
    # Of each request and each result: rows of float32, and less than that for all other fields.
    rows = 3 * 16 * 4
    assert rows * (GOOD_CALLS + 1) < counted[("received",)] < 2 * rows * (GOOD_CALLS + 1)
    assert rows * GOOD_CALLS < counted[("sent",)] < 2 * rows * GOOD_CALLS


def test_knows_its_bounds(prometheus):
    for bound in ("attend_in_flight_limit_bytes", "attend_memory_limit_bytes", "attend_workers",
                  "attend_executors", "attend_compute_peak_flops"):
        (value,) = wait_until(bound, lambda name=bound: query(prometheus, name)).values()
        assert value >= 1


def test_has_a_bound_of_latency_at_the_objective_and_at_the_longest_deadline(prometheus):
    for bound in ("0.25", "60"):
        assert wait_until(bound, lambda le=bound: query(
            prometheus, f'attend_request_duration_seconds_bucket{{le="{le}"}}'))


def test_measures_each_request(prometheus):
    def count():
        return query(prometheus, 'sum(attend_request_duration_seconds_count'
                                 '{method=~".*MultiHeadAttention"}) > 0')
    assert wait_until("durations are counted", count) == {(): GOOD_CALLS + 1}


def test_exports_zeros_from_the_start(prometheus):
    assert wait_until("a scrape", lambda: query(prometheus, "up == 1"))
    for family in ("attend_batch_oldest_seconds", "attend_queue_requests", "attend_queue_bytes", "attend_in_flight_bytes",
                   'attend_requests_total{code="INTERNAL"}'):
        values = wait_until(family, lambda name=family: query(prometheus, name)).values()
        assert set(values) == {0.0}, family


def test_knows_the_build_and_the_layers(prometheus):
    assert wait_until("layers", lambda: query(prometheus, "attend_layers")) == {(): 1.0}
    assert set(wait_until("build", lambda: query(prometheus, "attend_build_info")).values()) == {1}


def test_the_projects_rules_evaluate(prometheus):
    def rules():
        groups = json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else None
    for rule in wait_until("rules are evaluated", rules):
        assert rule["health"] == "ok", rule
        assert rule.get("state", "inactive") == "inactive", rule
