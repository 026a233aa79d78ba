# SPDX-License-Identifier: Apache-2.0
"""Each alert names its entry of the runbook, and is tested firing and quiet."""

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = [rule for group in yaml.safe_load((ROOT / "deploy/rules.yml").read_text())["groups"]
         for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES = [case for name in ("rules_test.yml", "rules_days_test.yml")
         for test in yaml.safe_load((ROOT / "tests/integration/deploy" / name).read_text())["tests"]
         for case in test.get("alert_rule_test", [])]


def entries():
    """{heading: text} of the runbook."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize("name", ALERTS)
def test_has_an_entry_of_the_runbook_with_meaning_sight_and_deed(name):
    # GitHub makes the anchor of a heading from it in lower case.
    assert ALERTS[name]["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    for part in ("**Meaning.** ", "**See.** ", "**Do.** "):
        assert part in entries()[name]


def test_the_runbook_has_no_entry_of_an_alert_that_is_gone():
    assert set(entries()) == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
@pytest.mark.parametrize("fires", [True, False])
def test_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet(name, fires):
    assert any(case["alertname"] == name and bool(case["exp_alerts"]) == fires for case in CASES)


@pytest.mark.parametrize("name", ALERTS)
def test_says_how_urgent_it_is(name):
    assert ALERTS[name]["labels"]["severity"] in ("page", "warn")


def test_recording_rules_are_named_by_level_metric_and_operations():
    for name in (rule["record"] for rule in RULES if "record" in rule):
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name), name
