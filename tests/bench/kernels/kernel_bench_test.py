# SPDX-License-Identifier: Apache-2.0
"""The benchmark of kernels measures every kind of row, checks results, judges by its targets and
survives a peer that fails. Nothing here depends on how fast anything is."""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import chart  # noqa: E402  (found on the path above)
import kernel_bench  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
from contender import Contender, Failure  # noqa: E402

PROGRAM = pathlib.Path(os.environ["ATTEND_SERVER_PROGRAM"]).with_name("bench_kernels")
ATTENTION = {"kind": "attention", "type": "f32", "queries": 3, "keys": 70, "heads": 4,
             "kv_heads": 2, "head_dim": 8, "causal": True}

FEATURES = ["avx2", "avx512"]

# A peer that takes a second per run and, when told to run, does what its first argument says.
PEER = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)["do"]
    if asked == "run" and sys.argv[1] == "die":
        print("peer is out of order", file=sys.stderr)
        sys.exit(3)
    if asked == "run" and sys.argv[1] == "refuse":
        answer = {"failure": "cannot"}
    else:
        answer = {"prepare": {"error": 0.0}, "run": {"seconds": 1.0}}[asked]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(name="ours")
def fixture_ours():
    one = Contender("attend", [PROGRAM])
    yield one
    one.close()


def peer(manner):
    return Contender("torch", [sys.executable, "-c", PEER, manner])


def row(**more):
    return rows.Row("decode", "f32 small", ATTENTION, peers=("torch",),
                    target=rows.Target(peer_ratio=1.2), **more)


@pytest.fixture(name="quick", scope="module")
def fixture_quick(tmp_path_factory):
    """The report of a quick run without peers."""
    path = tmp_path_factory.mktemp("bench") / "report.json"
    subprocess.run([sys.executable, HERE / "kernel_bench.py", "--quick", f"--program={PROGRAM}",
                    f"--json={path}"], check=True)
    return json.loads(path.read_text())


def test_a_quick_run_has_a_right_result_in_every_group(quick):
    wanted = rows.all_rows(kernel_bench.usable_cores(), quick["machine"]["features"])
    assert {r["group"] for r in quick["rows"]} == {r.group for r in wanted} - {"mixed lengths"}
    for result in quick["rows"]:
        assert result["correct"], result
        assert result["value"] > 0, result
        assert {"name", "unit", "share_of_peak", "peers", "target", "met"} <= set(result)
    assert set(quick["machine"]["prefetch"]) == {"decode", "projections"}
    for peak in quick["peaks"]:
        assert peak["f32_gflops"] > 0 and peak["read_gb_per_second"] > 0


def test_targets_against_peers_are_not_judged_without_peers(quick):
    alone = [r for r in quick["rows"] if r["group"] in ("short", "layer")]
    assert alone and all(r["met"] is None for r in alone)


def test_names_of_rows_are_distinct():
    names = [(r.group, r.name, getattr(r, "threads", None)) for r in rows.all_rows(2, FEATURES)]
    assert len(names) == len(set(names))


def test_bfloat16_projections_are_left_out_where_they_would_be_refused():
    names = {(r.group, r.name) for r in rows.all_rows(2, FEATURES)}
    fewer = {(r.group, r.name) for r in rows.all_rows(2, ["avx2"])}
    assert fewer < names
    engines = {(group, name) for group, name in names if group == "engines of projections"}
    assert engines and not engines & fewer
    assert {name.split()[0] for _, name in names - fewer - engines} == {"bf16"}
    assert {group for group, _ in names - fewer} == {
        "layer", "projection", "engines of projections", "1 -> 2 threads", "mixed lengths"}


@pytest.mark.parametrize("case", [
    ATTENTION, ATTENTION | {"type": "bf16", "heads_first": True, "batch": 2, "copies": 3},
    {"kind": "attention", "type": "f32", "lengths": [1, 65, 17], "heads": 2, "kv_heads": 1,
     "head_dim": 8, "causal": False},
    {"kind": "layer", "type": "f32", "embed": 24, "heads": 3, "lengths": [1, 65, 17]},
    {"kind": "linear", "type": "f32", "inputs": 40, "outputs": 70, "rows": 3, "copies": 2},
    {"kind": "linear", "type": "f32", "inputs": 40, "outputs": 70, "rows": 70, "matmul": "onednn"},
    {"kind": "layer", "type": "f32", "embed": 24, "heads": 3, "lengths": [33], "matmul": "panels"},
])
def test_cases_of_every_kind_are_right_on_every_number_of_threads(ours, case):
    for threads in (1, 2):
        facts = ours.ask({"do": "prepare", "case": case, "threads": threads})
        assert facts["correct"] and facts["flops"] > 0, facts
        assert ours.ask({"do": "run", "seconds": 0.001})["seconds"] > 0


def test_work_counts_only_pairs_that_causal_leaves(ours):
    facts = ours.ask({"do": "prepare", "case": ATTENTION, "threads": 1})
    assert facts["flops"] == 4 * (68 + 69 + 70) * 2 * (8 + 8)
    assert facts["bytes"] == 2 * 70 * 2 * 8 * 4


@pytest.mark.parametrize("case", [
    ATTENTION | {"type": "int8"}, {"kind": "pooling"}, {"kind": "layer", "type": "f32"},
    {"kind": "layer", "type": "f32", "embed": 24, "heads": 3, "lengths": [1], "matmul": "fast"}])
def test_a_case_without_sense_is_a_failure_and_the_program_lives(ours, case):
    with pytest.raises(Failure):
        ours.ask({"do": "prepare", "case": case, "threads": 1})
    assert ours.ask({"do": "machine"})["features"] is not None


def test_the_ratio_is_the_peers_time_over_ours(ours):
    one = peer("work")
    result = measure.measure_row(row(), ours, {"torch": one}, 3, 0.001)
    one.close()
    ratio = result["peers"]["torch"]
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert ratio["ratio"] == pytest.approx(1.0 / result["seconds"], rel=1e-9)
    assert result["met"] is (ratio["ratio"] >= 1.2)


@pytest.mark.parametrize("manner, reason", [("die", "peer is out of order"), ("refuse", "cannot")])
def test_a_peer_that_fails_leaves_its_reason_and_our_figure(ours, manner, reason):
    one = peer(manner)
    result = measure.measure_row(row(), ours, {"torch": one}, 2, 0.001)
    assert result["value"] > 0 and result["met"] is None
    assert result["peers"]["torch"] == {"value": None, "ratio": None, "failure": reason}
    one.close()


def test_a_peer_that_died_starts_again_for_the_next_row(ours):
    one = peer("die")
    for _ in range(2):
        result = measure.measure_row(row(), ours, {"torch": one}, 1, 0.001)
        assert result["peers"]["torch"]["failure"] == "peer is out of order"
    one.close()


def test_a_missing_interpreter_is_a_reason_too(ours):
    missing = Contender("torch", ["/nowhere/python"])
    result = measure.measure_row(row(), ours, {"torch": missing}, 1, 0.001)
    assert "cannot start" in result["peers"]["torch"]["failure"]


def test_an_answer_that_does_not_come_ends_the_program():
    silent = Contender("torch", [sys.executable, "-c", "import sys; sys.stdin.read()"])
    with pytest.raises(Failure, match="no answer"):
        silent.ask({"do": "version"}, seconds=0.01)
    assert silent.process is None


@pytest.mark.parametrize("target, ratios, of_peak, of_read, bound, met", [
    (rows.Target(peer_ratio=1.2), [1.3, 1.25], 0, 0, False, True),
    (rows.Target(peer_ratio=1.2), [1.3, 1.1], 0, 0, False, False),
    (rows.Target(peer_ratio=1.2), [], 0, 0, False, None),
    (rows.Target(peer_ratio=1.2, share_of_peak=0.7), [], 0.6, 0, False, False),
    (rows.Target(peer_ratio=1.2, share_of_peak=0.7), [], 0.8, 0, False, None),
    (rows.Target(peer_ratio=1.2, share_of_peak=0.7), [1.2], 0.7, 0, False, True),
    (rows.Target(share_of_read=0.85), [0.5], 0, 0.86, False, True),
    (rows.Target(share_of_read=0.85), [9.0], 0, 0.84, False, False),
    (rows.Target(share_of_read=0.85), [9.0], 0, 0.84, True, None),
    (rows.Target(), [2.0], 0.9, 0.9, False, None),
])
def test_every_part_of_a_target_must_be_reached(target, ratios, of_peak, of_read, bound, met):
    assert measure.judge(target, ratios, of_peak, of_read, bound) is met


def with_peers(found):
    """The report as if one peer had run and one had failed."""
    for result in found["rows"]:
        if "seconds" in result:
            result["peers"] = {"torch": {"value": result["value"] / 2, "ratio": 2.0},
                               "openvino": {"value": None, "ratio": None, "failure": "cannot"}}
    return found | {"peers": {"torch": "1.0"}}


def test_the_chart_draws_every_bar_and_names_machine_and_units(quick):
    found = with_peers(json.loads(json.dumps(quick)))
    drawn = xml.etree.ElementTree.fromstring(chart.draw(found))
    texts = " ".join("".join(part.itertext()) for part in drawn.iter()
                     if part.tag.endswith("}text"))
    assert found["machine"]["cpu"] in texts and "GFLOP/s" in texts and "GB/s" in texts
    bars = [bar for bar in drawn.iter() if bar.tag.endswith("}rect") and len(bar)]
    shown = [r for r in found["rows"]
             if r["group"] in {panel[1] for panel in chart.PANELS} and r["threads"] == 1]
    assert len(bars) == 2 * len(shown)


def test_the_tables_have_every_row_once_and_mark_what_misses(quick):
    found = with_peers(json.loads(json.dumps(quick)))
    found["rows"][0]["met"] = False
    text = "\n".join(report.fragment(found, None))
    assert "†" in text.split("reach their target")[0]
    figures = sum(text.count(f"| {report.figure(r)} |") > 0 for r in found["rows"])
    assert figures == len(found["rows"])


def test_the_tables_go_between_the_marks_of_a_file(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    report.report_file.put(path, "new\n", report.BEGIN, report.END)
    assert path.read_text() == f"before\n{report.BEGIN}new\n{report.END}after\n"
