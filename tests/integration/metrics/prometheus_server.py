# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus with the project's rules, for the length of a `with`."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.parse

from pages import get, wait_until

TOOLS = pathlib.Path(os.environ["ATTEND_TOOLS"])
RULES = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "rules.yml"


@contextlib.contextmanager
def scraping(target):
    """The base URL of a Prometheus that scrapes the target as job "attend", five times a second."""
    with tempfile.TemporaryDirectory(prefix="attend-prometheus-") as name:
        folder = pathlib.Path(name)
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms",
                       "evaluation_interval": "200ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "attend",
                                "static_configs": [{"targets": [target]}]}]}))
        log = folder / "log"
        with open(log, "wb") as sink:
            process = subprocess.Popen(
                [TOOLS / "prometheus", f"--config.file={config}",
                 "--web.listen-address=127.0.0.1:0", f"--storage.tsdb.path={folder / 'data'}"],
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


def series(prometheus, expression):
    """The series of an instant query, as the API gives them."""
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    return json.loads(get(url))["data"]["result"]
