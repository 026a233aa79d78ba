"""compose.yaml holds together: what it mounts is there, what it names exists, its ports agree.

compose_test.py ROOT, the root of the tree.
"""

import pathlib
import sys
import unittest

import yaml

ROOT = pathlib.Path(sys.argv.pop(1))


def load(path):
    return yaml.safe_load((ROOT / path).read_text())


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = load("deploy/compose.yaml")["services"]
        self.volumes = load("deploy/compose.yaml")["volumes"]

    def test_mounts_files_that_are_there(self):
        for name, service in self.services.items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                with self.subTest(service=name, volume=volume):
                    if source.startswith("."):
                        self.assertTrue((ROOT / "deploy" / source).is_file())
                    else:
                        self.assertIn(source, self.volumes)

    def test_starts_what_is_needed_first(self):
        for service in self.services.values():
            for needed in service.get("depends_on", {}):
                self.assertIn(needed, self.services)

    def test_prometheus_scrapes_a_port_of_the_image(self):
        dockerfile = (ROOT / "Dockerfile").read_text()
        exposed = next(line for line in dockerfile.splitlines() if line.startswith("EXPOSE"))
        for job in load("deploy/prometheus.yml")["scrape_configs"]:
            for config in job["static_configs"]:
                for target in config["targets"]:
                    host, port = target.split(":")
                    self.assertIn(host, self.services)
                    self.assertIn(port, exposed.split())

    def test_publishes_on_this_machine_only_and_no_port_twice(self):
        published = [port for service in self.services.values() for port in service["ports"]]
        for port in published:
            self.assertTrue(port.startswith("127.0.0.1:"), port)
        hosts = [port.rsplit(":", 1)[0] for port in published]
        self.assertEqual(len(hosts), len(set(hosts)))

    def test_services_have_a_read_only_root_and_no_capabilities(self):
        for name, service in self.services.items():
            with self.subTest(service=name):
                self.assertIs(service["read_only"], True)
                self.assertEqual(service["cap_drop"], ["ALL"])


if __name__ == "__main__":
    unittest.main()
