# SPDX-License-Identifier: Apache-2.0
"""The Helm chart's values name every flag of the server: as `config`, or through values of their own."""

import json
import pathlib
import re
import subprocess

import server

CHART = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "helm" / "attend"

# Set by the chart from other values, or of no use in a pod.
OTHERWISE = {"config", "listen", "metrics-listen", "port-file", "model", "drain-delay",
             "drain-timeout", "insecure", "tls-cert", "tls-key", "tls-client-ca",
             "tokens", "unix-socket-mode"}


def test_config_takes_each_flag_that_no_other_value_sets():
    # The flags after this line do not serve.
    text = subprocess.run([server.binary(), "--help"], check=True, text=True,
                          capture_output=True).stdout.split("Instead of serving")[0]
    flags = set(re.findall(r"^  --([a-z0-9-]+)", text, re.MULTILINE))
    schema = json.loads((CHART / "values.schema.json").read_text())
    config = set(schema["properties"]["config"]["properties"])
    assert OTHERWISE <= flags
    assert config == flags - OTHERWISE, "deploy/helm/attend/values.schema.json lacks or invents a flag"
