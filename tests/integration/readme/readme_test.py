# SPDX-License-Identifier: Apache-2.0
"""The tables of the README and the comments of the contract say what the server reports of itself."""

import fnmatch
import re
import subprocess

import attend_client
import server
from pages import get

README = (attend_client.ROOT / "README.md").read_text()
NO_SETTINGS = {"config", "print-config", "healthcheck", "version", "help"}


def first_cells(heading):
    """Returns the first and the second column of the table below a heading."""
    text = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    return [(row[1].strip(), row[2].strip()) for row in rows[2:]]


def settings():
    """{name: default or ""} as --help prints them."""
    text = subprocess.run([server.binary(), "--help"], check=True, text=True,
                          capture_output=True).stdout
    found = re.findall(r"^  --([a-z-]+).*\n((?:      .*\n?)+)", text, re.MULTILINE)
    defaults = {name: re.search(r"Default: (.*)", about) for name, about in found}
    return {name: default.group(1).strip() if default else ""
            for name, default in defaults.items() if name not in NO_SETTINGS}


def test_the_configuration_table_has_every_setting_with_its_default():
    table = {}
    for names, defaults in first_cells("Configuration"):
        flags = re.findall(r"--([a-z-]+)", names)
        values = [value.strip(" `") for value in defaults.split(",")]
        table.update(zip(flags, values if len(flags) == len(values) else values * len(flags)))
    assert table == settings()


def test_the_metrics_table_has_every_family():
    with server.Server("--random-layer=r:embed_dim=8,num_heads=2") as running:
        families = set(re.findall(r"^# TYPE (\S+)", get(running.metrics_url), re.MULTILINE))
    table = {name for names, _ in first_cells("Metrics") for name in re.findall(r"`(\S+?)`", names)}
    for family in families:
        assert any(fnmatch.fnmatch(family, name) for name in table), family
    for name in table:
        assert fnmatch.filter(families, name), name


def test_the_contract_says_what_sets_each_limit():
    limits = (attend_client.ROOT / "proto/attend/v1/server.proto").read_text()
    limits = limits.split("\nmessage Limits {", 1)[1]
    assert set(re.findall(r"--([a-z-]+)", limits)) <= set(settings())
    # A comment stands above one field or several.
    for comment, fields in re.findall(r"((?:  //.*\n)+)((?:  int64.*\n)+)", limits):
        assert re.search("--|on every server|as max_rows", comment), fields
