# SPDX-License-Identifier: Apache-2.0
"""Each query of the dashboard finds something once a server has had load, and recording rules too."""

import hashlib
import json
import pathlib
import re

import attend_client
import grpc
import numpy as np
import pytest
import server
import yaml
from pages import wait_until
from prometheus_server import RULES, scraping, series

DASHBOARD = json.loads((pathlib.Path(__file__).resolve().parents[3]
                        / "deploy/grafana/dashboards/attend.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Grafana puts in for its variables.
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "2s"}


def queries():
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield pytest.param(expression, id=f"{panel['title']}: {target['legendFormat']}")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """(Prometheus, a function that sends load) beside a server with two layers and tokens."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"me sha256={hashlib.sha256(b'secret').hexdigest()}\n")
    with server.Server("--random-layer=a:embed_dim=16,num_heads=2",
                       "--random-layer=b:embed_dim=16,num_heads=2", f"--tokens={tokens}") as running:
        x = attend_client.to_tensor(running.stubs, np.ones((3, 16), np.float32))
        request = running.stubs.attention_pb2.MultiHeadAttentionRequest

        def call(layer):
            running.attention.MultiHeadAttention(request(layer=layer, query=x), timeout=60,
                                                 metadata=[("authorization", "Bearer secret")])

        def load():
            for layer in ("a", "b"):
                call(layer)
            with pytest.raises(grpc.RpcError):
                call("c")
        with scraping(running.ports["metrics"]) as base:
            yield base, load


def require_series(loaded, expression):
    prometheus, load = loaded

    def find():
        load()
        found = [item["value"][1] for item in series(prometheus, expression)]
        return [value for value in found if value != "NaN"]
    wait_until(expression, find)


@pytest.mark.parametrize("expression", list(queries()))
def test_a_query_of_the_dashboard_finds_a_series(loaded, expression):
    assert "$" not in expression
    require_series(loaded, expression)


@pytest.mark.parametrize("name", [
    rule["record"] for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"] if "record" in rule])
def test_a_recording_rule_finds_a_series(loaded, name):
    require_series(loaded, name)


def test_panels_have_titles_of_their_own_and_do_not_overlap():
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    cells = [(x, y) for panel in DASHBOARD["panels"] for at in [panel["gridPos"]]
             for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_variables_are_those_that_queries_use():
    used = {name for panel in PANELS for target in panel["targets"]
            for name in re.findall(r"\$(\w+)", target["expr"])}
    assert used - {"__rate_interval"} == {item["name"] for item in DASHBOARD["templating"]["list"]}
