# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus scrapes a server: its answers add up to the calls that were sent."""

import json
import os
import pathlib
import re
import subprocess
import urllib.parse

import attend_client
import grpc
import numpy as np
import pytest
import server
from pages import get, wait_until

TOOLS = pathlib.Path(os.environ["ATTEND_TOOLS"])
RULES = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "rules.yml"
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
def prometheus(running, tmp_path_factory):
    """The base URL of a Prometheus that scrapes `running` with the project's rules."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({  # JSON is YAML
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms",
                   "evaluation_interval": "200ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "attend",
                            "static_configs": [{"targets": [running.ports["metrics"]]}]}]}))
    log = folder / "log"
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            [TOOLS / "prometheus", f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
             f"--storage.tsdb.path={folder / 'data'}"],
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        def address():
            assert process.poll() is None, log.read_text()
            return re.search(r'msg="Listening on" address=(\S+)', log.read_text())
        base = "http://" + wait_until("Prometheus listens", address).group(1)
        # It listens before it has read its storage, and answers 503 until then.
        wait_until("Prometheus is ready", lambda: "is ready" in log.read_text())
        yield base
    finally:
        process.terminate()
        process.wait()


def query(prometheus, expression):
    """{labels' values, sorted by name: value} of an instant query."""
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    result = json.loads(get(url))["data"]["result"]
    return {tuple(value for name, value in sorted(series["metric"].items())
                  if name not in ("__name__", "instance", "job")): float(series["value"][1])
            for series in result}


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


def test_measures_each_request(prometheus):
    def count():
        return query(prometheus, 'sum(attend_request_duration_seconds_count'
                                 '{method=~".*MultiHeadAttention"}) > 0')
    assert wait_until("durations are counted", count) == {(): GOOD_CALLS + 1}


def test_exports_zeros_from_the_start(prometheus):
    assert wait_until("a scrape", lambda: query(prometheus, "up == 1"))
    for family in ("attend_queue_requests", "attend_queue_bytes", "attend_in_flight_bytes",
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
