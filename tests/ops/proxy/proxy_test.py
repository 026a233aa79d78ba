# SPDX-License-Identifier: Apache-2.0
"""Three servers behind HAProxy, behind nginx, and called in turn: each is stopped, then killed, and
started again under load, and no call fails with the retries that the C++ client has by default."""

import json
import os
import signal
import subprocess

import pytest
import yaml
from fleet import Fleet, may_make_namespaces
from proxies import CONFIGURATIONS, behind, haproxy, nginx

DEFAULT_ATTEMPTS = 5  # RetryPolicy::max_attempts of client/cpp/attend/options.h; bench's own is 1
CALLS_PER_SECOND = 50


class Load:
    """Calls at a steady rate, of sizes below and above what a proxy keeps to send again."""

    def __init__(self, target, folder, attempts=DEFAULT_ATTEMPTS):
        self.report = folder / "report.json"
        self.process = subprocess.Popen(
            [os.environ["ATTEND_CLI_PROGRAM"], "bench", f"--server={target}", "--layer=demo",
             f"--rate={CALLS_PER_SECOND}", "--tokens=1..256", "--duration=1h", "--warmup=0s",
             "--timeout=30s", f"--max-attempts={attempts}", f"--json={self.report}", "--quiet"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self):
        """What bench reports."""
        self.process.send_signal(signal.SIGINT)
        printed, _ = self.process.communicate(timeout=60)
        assert self.report.exists(), printed
        return json.loads(self.report.read_text())

    def abandon(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def restart_each(fleet):
    for node in fleet.nodes:
        node.wait_for_calls()
    for end in ("stop", "kill"):
        for node in fleet.nodes:
            getattr(node, end)()
            node.start()
            node.wait_for_calls()


def no_call_fails(fleet, target, folder):
    load = Load(target, folder)
    try:
        restart_each(fleet)
        report = load.finish()
    finally:
        load.abandon()
    print("good:", report["good"], "latency in ms:", report["latency_ms"])
    assert report["errors"] == {}
    assert (report["unsent"], report["wrong"]) == (0, 0)
    assert report["good"] > CALLS_PER_SECOND


def test_each_server_has_a_network_of_its_own(tmp_path):
    if not may_make_namespaces():
        pytest.skip("no right to make network namespaces: the servers share the loopback")
    with Fleet(tmp_path) as fleet:
        networks = {os.readlink(f"/proc/{process}/ns/net")
                    for process in ("self", *(node.process.pid for node in fleet.nodes))}
    assert len(networks) == 4


@pytest.mark.parametrize("proxy", [haproxy, nginx])
def test_no_call_through_a_proxy_fails(proxy, tmp_path):
    with Fleet(tmp_path) as fleet, behind(proxy, fleet, tmp_path) as target:
        no_call_fails(fleet, target, tmp_path)


def test_no_call_of_a_client_that_takes_turns_fails(tmp_path):
    with Fleet(tmp_path) as fleet:
        no_call_fails(fleet, ",".join(node.target for node in fleet.nodes), tmp_path)


def test_envoy_names_the_same_servers():
    # No Envoy is to be had from Debian: its file is read, not run.
    resources = yaml.safe_load((CONFIGURATIONS / "envoy.yaml").read_text())["static_resources"]
    (cluster,) = resources["clusters"]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    addresses = [endpoint["endpoint"]["address"]["socket_address"]
                 for endpoint in endpoints["lb_endpoints"]]
    assert [f"{a['address']}:{a['port_value']}" for a in addresses] == [
        f"attend-{number}:50051" for number in (1, 2, 3)]
    (listener,) = resources["listeners"]
    assert listener["address"]["socket_address"]["port_value"] == 50050
    (chain,) = listener["filter_chains"]
    route = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"][0]
    assert route["route"]["cluster"] == cluster["name"]
