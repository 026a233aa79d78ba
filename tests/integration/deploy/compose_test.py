# SPDX-License-Identifier: Apache-2.0
"""compose.yaml is consistent: its mounts and names exist, and its ports agree."""

import json
import pathlib
import re
import subprocess

import pytest
import server
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]


def load(path):
    return yaml.safe_load((ROOT / path).read_text())


COMPOSE = load("deploy/compose.yaml")
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_mounts_files_that_are_there(name):
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, dict):  # the model, which is fetched: tests/ops/compose
            continue
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (ROOT / "deploy" / source).exists()
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_starts_after_services_that_exist(name):
    assert set(SERVICES[name].get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_has_a_read_only_root_and_no_capabilities(name):
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def image(instruction):
    """The words of the only line of the Dockerfile that begins with an instruction."""
    (line,) = (line for line in (ROOT / "Dockerfile").read_text().splitlines()
               if line.startswith(f"{instruction} "))
    return line.split()[1:]


def test_prometheus_scrapes_a_port_of_the_image():
    exposed = image("EXPOSE")
    targets = [target for job in load("deploy/prometheus.yml")["scrape_configs"]
               for config in job["static_configs"] for target in config["targets"]]
    assert targets
    for target in targets:
        host, port = target.split(":")
        assert host in SERVICES
        assert port in exposed


def test_publishes_the_ports_on_which_the_image_listens_in_plain_text():
    settings = dict(word.split("=") for word in image("ENV"))
    assert settings["ATTEND_INSECURE"] == "on"
    listening = [settings["ATTEND_LISTEN"], settings["ATTEND_METRICS_LISTEN"]]
    assert listening == [f"0.0.0.0:{port}" for port in image("EXPOSE")]
    published = [port.split(":")[-1] for port in SERVICES["server"]["ports"]]
    assert published == image("EXPOSE")
    # Said here again, so that whoever reads the file sees it, and no other setting is changed.
    assert SERVICES["server"]["environment"] == {"ATTEND_INSECURE": "on"}


def mount(service, path):
    """The file or folder of the tree that a service sees at a path, or None."""
    for volume in SERVICES[service]["volumes"]:
        source, target = volume.split(":")[:2]
        if source.startswith(".") and (path == target or path.startswith(target + "/")):
            return ROOT / "deploy" / source / path[len(target):].lstrip("/")
    return None


def test_grafana_finds_prometheus_and_the_dashboard():
    provisioning = mount("grafana", "/etc/grafana/provisioning")
    (source,) = yaml.safe_load(
        (provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    host, port = re.fullmatch(r"http://(.+):(\d+)", source["url"]).groups()
    # In the network of the services Prometheus has the port that it publishes.
    assert SERVICES[host]["ports"][0].endswith(f":{port}")
    (provider,) = yaml.safe_load(
        (provisioning / "dashboards/attend.yaml").read_text())["providers"]
    (dashboard,) = mount("grafana", provider["options"]["path"]).glob("*.json")
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mount("grafana", home) == dashboard
    sources = {panel["datasource"]["uid"] for panel in json.loads(dashboard.read_text())["panels"]
               if panel["type"] != "row"}
    assert sources == {source["uid"]}


def seconds(duration):
    """Of a duration as the server and compose write it, such as 1m10s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def test_waits_longer_than_the_server_takes_to_drain():
    config = subprocess.run([server.binary(), "--print-config"], check=True, text=True,
                            capture_output=True).stdout
    drain = [re.search(rf"^drain-{name} = (\S+)$", config, re.MULTILINE).group(1)
             for name in ("delay", "timeout")]
    assert seconds(SERVICES["server"]["stop_grace_period"]) > sum(map(seconds, drain))


def test_publishes_on_this_machine_only_and_no_port_twice():
    published = [port for service in SERVICES.values() for port in service["ports"]]
    for port in published:
        assert port.startswith("127.0.0.1:")
    on_the_host = [port.rsplit(":", 1)[0] for port in published]
    assert len(on_the_host) == len(set(on_the_host))
