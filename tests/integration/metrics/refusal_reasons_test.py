# SPDX-License-Identifier: Apache-2.0
"""No reason of an error is counted as "other": the table of refusals has each one that the sources
give and each one that the contract names."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
TABLE = (ROOT / "server/telemetry/refusal.cc").read_text()
ROWS = re.findall(r'\{"([A-Z_]+)", Refusal::', TABLE)


def arguments(text):
    """The arguments of each call that makes an error, as text."""
    for start in re.finditer(r"\b(?:MakeError|Overloaded|InvalidField)\(", text):
        depth, end = 1, start.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[start.end():end - 1]


def reasons_of_the_sources():
    found = set()
    for folder in ("core", "server"):
        for source in (ROOT / folder).rglob("*"):
            if source.suffix in (".cc", ".h"):
                for text in arguments(source.read_text()):
                    found |= set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', text))
    return found


def reasons_of_the_contract():
    comment = (ROOT / "proto/attend/v1/attention.proto").read_text()
    comment = comment.split("google.rpc.ErrorInfo", 1)[1].split("service AttentionService", 1)[0]
    words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", comment))
    codes = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED",
             "UNAVAILABLE", "UNIMPLEMENTED", "INTERNAL", "UNAUTHENTICATED", "PERMISSION_DENIED"}
    return {word for word in words if len(word) > 4} - codes - {"UPPER_SNAKE"}


def test_finds_reasons_in_both():
    assert {"QUEUE_FULL", "UNKNOWN_LAYER", "SHAPE_MISMATCH"} <= reasons_of_the_sources()
    assert {"QUEUE_FULL", "DUPLICATE_ID", "DEADLINE_TOO_SHORT"} <= reasons_of_the_contract()


@pytest.mark.parametrize("reason", sorted(reasons_of_the_sources() - {"CANCELLED"}))
def test_counts_a_reason_of_the_sources(reason):
    assert reason in ROWS


@pytest.mark.parametrize("reason", sorted(reasons_of_the_contract()))
def test_counts_a_reason_of_the_contract(reason):
    assert reason in ROWS


def test_the_table_has_each_reason_once_and_none_that_nobody_gives():
    assert len(ROWS) == len(set(ROWS))
    names_of_codes = {"INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAVAILABLE", "NOT_FOUND",
                      "UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
                      "DEADLINE_EXCEEDED"}
    assert set(ROWS) <= reasons_of_the_sources() | {"INVALID_VALUE"} | names_of_codes
