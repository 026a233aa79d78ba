# SPDX-License-Identifier: Apache-2.0
"""The statistics of the service's benchmark are right, its load generator follows plans and tells
good answers from wrong ones, and its report shows every row. Nothing here depends on how fast
anything is."""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import bench  # noqa: E402  (found on the path above)
import bodies  # noqa: E402
import processes  # noqa: E402
import samples  # noqa: E402
import service_bench  # noqa: E402
import service_chart  # noqa: E402
import service_report  # noqa: E402

PROGRAMS = pathlib.Path(os.environ["ATTEND_SERVER_PROGRAM"]).parent
SECOND = 10**9


def calls(*rows):
    """Records of (planned s, latency s or None if it was not sent, code)."""
    found = np.zeros(len(rows), samples.RECORD)
    for record, (planned, latency, code) in zip(found, rows):
        record["planned"] = round(planned * SECOND)
        record["code"] = code
        if latency is not None:
            record["sent"] = record["planned"]
            record["done"] = round((planned + latency) * SECOND)
    return found


@pytest.mark.parametrize("values, share, expected", [
    ([], 0.5, None),
    ([7], 0.0, 7),
    ([7], 0.99, 7),
    ([3, 1, 2], 0.5, 2),
    ([4, 3, 2, 1], 0.5, 2),
    (list(range(1, 101)), 0.99, 99),
    (list(range(1, 102)), 0.99, 100),
    ([1, 2, 3], 1, 3),
])
def test_a_percentile_is_the_smallest_value_that_covers_the_share(values, share, expected):
    assert samples.percentile(values, share) == expected


def test_a_good_answer_is_ok_and_within_the_deadline():
    found = calls((0, 0.4, 0), (0, 0.6, 0), (0, 0.1, 8), (0, 0.1, samples.WRONG_ANSWER))
    assert samples.good(found, 0.5).tolist() == [True, False, False, False]
    assert samples.good(found).tolist() == [True, True, False, False]


def test_a_summary_counts_the_good_and_times_the_refusals():
    found = samples.summary(calls((0, 0.1, 0), (1, 0.3, 0), (2, 0.002, 8), (3, 0.004, 14),
                                  (3, None, samples.NOT_SENT)), 5, 0.2)
    assert found["good/s"] == 0.2
    assert found["good share"] == 0.2
    assert found["offered/s"] == 1
    assert found["p50 ms"] == pytest.approx(100)
    assert found["refusal p50 ms"] == pytest.approx(2)
    assert found["codes"] == {"OK": 2, "RESOURCE_EXHAUSTED": 1, "UNAVAILABLE": 1,
                              "dropped by the generator": 1}


def test_records_come_in_the_order_of_their_plan():
    found = samples.parse(calls((2, 1, 0), (1, 1, 8)).tobytes())
    assert found["code"].tolist() == [8, 0]
    assert samples.window(found, SECOND, 2 * SECOND)["code"].tolist() == [8]


@pytest.mark.parametrize("bad_until, expected", [(0, 0.0), (0.25, 0.3), (9, None)])
def test_a_server_has_settled_after_the_last_bad_bucket(bad_until, expected):
    rows = [(10 + n * 0.05, 0.01, 8 if n * 0.05 < bad_until else 0) for n in range(40)]
    settled = samples.seconds_until_settled(calls((1, 0.1, 8), *rows), 10 * SECOND, 0.5)
    assert settled == (None if expected is None else pytest.approx(expected))


def test_the_kernels_texts_are_read():
    assert samples.parse_stat("7 (a b) c) S 1 1 1 0 -1 4 10 0 0 0 250 31 0 0 20 0") == 281
    assert samples.parse_status_kib("VmHWM:\t  90 kB\nVmRSS:\t   1234 kB\n", "VmRSS") == 1234
    assert samples.parse_received("head\n  eth0: 1 2\n    lo: 345 6 0\n") == 345
    with pytest.raises(ValueError):
        samples.parse_received("eth0: 1 2")
    two = "flags\t\t: fpu avx2 avx512f\nbugs\t: avx512_bf16\n\nflags\t: avx2 fpu\n"
    assert samples.parse_features(two) == ["avx2"]
    assert samples.parse_features("") == []


def test_a_metric_is_summed_over_its_labels():
    page = '# HELP a_total x\na_total{code="OK"} 2\na_total{code="NO"} 3\na_total_more 9\nb 4\n'
    assert samples.parse_metric(page, "a_total") == 5
    assert samples.parse_metric(page, "b") == 4
    assert samples.parse_metric(page, "c") == 0


def test_a_target_is_judged_by_its_figure():
    at_least, below = bench.Target("a", 0.9, at_least=True), bench.Target("b", 10)
    assert bench.judge((at_least, below), {"a": 0.9, "b": 9.9}) is True
    assert bench.judge((at_least, below), {"a": 0.8, "b": 9.9}) is False
    assert bench.judge((at_least, below), {"a": 0.9, "b": 10}) is False
    assert bench.judge((at_least, below), {"a": 0.8, "b": None}) is False
    assert bench.judge((at_least, below), {"a": 0.9}) is None
    assert bench.judge((), {"a": 0.9}) is None
    assert bench.judge((at_least,), {"a": 0.8, bench.LATE: 51}) is None
    assert bench.judge((at_least,), {"a": 0.8, bench.LATE: None}) is False


def test_figures_are_medians_of_the_rounds_that_have_them():
    found = bench.medians([{"a": 1, "b": None}, {"a": 5, "b": None}, {"a": 2, "b": 4}, {"c": None}])
    assert found == {"a": (2, 1, 5), "b": (4, 4, 4), "c": None}


def test_a_filter_takes_rows_by_group_and_name():
    assert len(service_bench.selected(service_bench.GROUPS, "")) == len(service_bench.GROUPS)
    found = {group.name: names for group, names in
             service_bench.selected(service_bench.GROUPS, "overload 5 x")}
    assert found == {"overload": ["5 x capacity"]}


def test_priorities_are_numbers_or_names():
    stubs = bodies.Bodies("/nowhere").stubs
    request = stubs.attention_pb2.MultiHeadAttentionRequest()
    values = []
    for name in ("high", "normal", "low"):
        bodies.set_priority(request, name)
        values.append(request.priority)
    assert values == sorted(set(values))


@pytest.fixture(name="ours")
def fixture_ours(tmp_path):
    return bench.Bench(PROGRAMS, tmp_path, os.sched_getaffinity(0), quick=True)


@pytest.fixture(name="echo")
def fixture_echo(ours):
    with ours.echo() as echo:
        yield echo


def test_a_closed_loop_has_good_answers_only(ours, echo):
    sample = ours.bodies.keep(b"what is sent", b"is sent")
    caller = processes.Caller(echo.target, "/any/Method", [sample], concurrency=3, seconds=0.05,
                              channels=2)
    records = ours.run(caller)
    assert len(records) >= 3
    assert samples.codes(records) == {"OK": len(records)}
    assert (records["done"] >= records["sent"]).all()
    assert (records["sent"] >= records["planned"]).all()


def test_an_answer_with_other_bytes_is_wrong(ours, echo):
    kept = [ours.bodies.keep(b"abc", b"bc"), ours.bodies.keep(b"abc", b"ac"),
            ours.bodies.keep(b"abc", b"xabc")]
    records = ours.run(processes.Caller(echo.target, "/any/Method", kept, concurrency=1,
                                        seconds=0.05))
    assert (records["code"][records["sample"] == 0] == samples.OK).all()
    assert (records["code"][records["sample"] != 0] == samples.WRONG_ANSWER).all()
    assert set(records["sample"]) >= {0, 1}


def test_an_open_loop_plans_its_sends_at_the_rates_of_its_segments(ours, echo):
    caller = processes.Caller(echo.target, "/any/Method", [ours.bodies.keep(b"abc", b"abc")],
                              segments=[[1000, 0.1], [200, 0.1]], poisson=False)
    records = ours.run(caller)
    gaps = np.diff(records["planned"])
    assert len(records) == 99 + 19
    assert (gaps[:98] == 1_000_000).all()
    assert (gaps[99:] == 5_000_000).all()


@pytest.mark.parametrize("limits", [{"max_in_flight": 0}, {"deadline": 1e-9}])
def test_calls_that_the_generator_could_not_send_are_counted(ours, echo, limits):
    caller = processes.Caller(echo.target, "/any/Method", [ours.bodies.keep(b"abc", b"abc")],
                              segments=[[1000, 0.05]], poisson=False, **limits)
    found = samples.summary(ours.run(caller), 0.05)
    assert found["codes"] == {"dropped by the generator": 49}
    assert found["good share"] == 0


def test_random_gaps_come_to_the_rate(ours, echo):
    caller = processes.Caller(echo.target, "/any/Method", [ours.bodies.keep(b"abc", b"abc")],
                              segments=[[2000, 0.5]])
    assert 900 < len(ours.run(caller)) < 1100  # the seed is fixed


def test_a_plan_that_cannot_be_read_is_a_failure(ours):
    caller = processes.Caller("unix:/nowhere/none.sock", "/any/Method",
                              [{"request": "/nowhere/request", "answer": ""}], concurrency=1,
                              seconds=0.01)
    with pytest.raises(processes.Failure, match="cannot read /nowhere/request"):
        ours.run(caller)


def test_a_server_answers_the_layer_and_the_operator_with_checked_bytes(ours):
    with ours.server() as server:
        caller = ours.layer_caller(server, 2, concurrency=1, seconds=0.05)
        assert set(samples.codes(ours.run(caller))) == {"OK"}
        sample = ours.bodies.sample(server.target, bodies.OPERATOR_METHOD, ours.bodies.one_key(64))
        caller = processes.Caller(server.socket, bodies.OPERATOR_METHOD, [sample], concurrency=1,
                                  seconds=0.05, compute_times=True)
        records = ours.run(caller)
        assert set(samples.codes(records)) == {"OK"}
        assert (records["compute"] > 0).all()
        sample = ours.bodies.keep(ours.bodies.layer(2, layer="unknown"))
        caller = processes.Caller(server.target, bodies.LAYER_METHOD, [sample], concurrency=1,
                                  seconds=0.02)
        assert set(samples.codes(ours.run(caller))) == {"NOT_FOUND"}
        assert "unknown" in caller.messages["5"]
        assert server.metric("attend_batch_requests_count") >= len(records)
        assert server.cpu_seconds() >= 0 and server.resident_mib() > 1


def test_a_stream_has_the_answers_of_unary_calls(ours):
    with ours.server() as server:
        plan = {"concurrency": 5, "seconds": 0.05, "stream": True}
        caller = ours.layer_caller(server, 2, **plan)
        records = ours.run(caller)
        assert len(records) >= 5
        assert samples.codes(records) == {"OK": len(records)}
        assert (records["done"] >= records["sent"]).all()
        wrong = ours.bodies.keep(ours.bodies.layer(2), b"other bytes")
        unknown = ours.bodies.keep(ours.bodies.layer(2, layer="unknown"))
        caller = processes.Caller(server.target, bodies.LAYER_METHOD, [wrong, unknown], **plan)
        assert set(samples.codes(ours.run(caller))) == {"WRONG ANSWER", "NOT_FOUND"}
        with pytest.raises(processes.Failure, match="closed loop on one channel"):
            ours.run(ours.layer_caller(server, 2, **plan, channels=2))


def test_a_quick_run_writes_its_report(tmp_path):
    path = tmp_path / "report.json"
    subprocess.run([sys.executable, HERE / "service_bench.py", "--quick", f"--programs={PROGRAMS}",
                    f"--json={path}", "--filter=beyond gRPC 64 B"], check=True)
    found = json.loads(path.read_text())
    assert [row["name"] for row in found["rows"]] == ["64 B"]
    assert found["rows"][0]["correct"]
    assert found["rows"][0]["figures"]["echo us"][0] > 0
    assert found["machine"]["cores"] >= 1


def test_rows_before_a_failure_are_kept():
    def run(_, names):
        yield names[0], {"a": 1.0}, {"OK": 1}
        raise processes.Failure("the server ended")

    group = bench.Group("a group", "A title", {"one": (), "two": ()}, run)
    found = service_bench.measure(None, group, ["one", "two"], 3)
    assert [row["name"] for row in found] == ["one", "failed: the server ended"]
    assert [row["correct"] for row in found] == [True, False]


def report_of(rows):
    """A report with rows of (group, name, figures, codes)."""
    groups = {group.name: group for group in service_bench.GROUPS}
    return {"machine": {"cpu": "Some CPU", "cores": 2, "features": ["avx2"], "system": "Linux", "load_average": 0.0},
            "method": {"rounds": 3, "quick": False},
            "groups": {name: {"title": group.title, "note": group.note}
                       for name, group in groups.items()},
            "rows": [json.loads(json.dumps(service_bench.result(groups[group], name, rounds, ended)))
                     for group, name, rounds, ended in rows]}


@pytest.fixture(name="report")
def fixture_report():
    return report_of([
        ("overload", "2 x capacity", [{"good/s of peak": 0.5, "p50 ms": 3.0, "p99 ms": 80.0,
                                       "refusal p50 ms": 1.0}], {"OK": 3, "UNAVAILABLE": 1}),
        ("overload", "10 x capacity", [{"good/s of peak": 0.8, "p50 ms": 4.0, "p99 ms": 90.0,
                                        "refusal p50 ms": 2.0}], {"OK": 1}),
        ("batching", "on, concurrency 4", [{"requests/s": 10.0}, {"requests/s": 30.0}], {"OK": 1}),
        ("batching", "off, concurrency 4", [{"requests/s": 20.0}], {samples.NAMES[-2]: 1}),
    ])


def test_the_tables_have_every_row_and_mark_what_misses(report):
    text = "\n".join(service_report.fragment(report, None))
    assert "| 2 x capacity † |" in text and "| 10 x capacity |" in text
    assert "OK 75.0 %, UNAVAILABLE 25.0 %" in text
    assert "20.0 (10.0-30.0)" in text
    assert "| off, concurrency 4 WRONG |" in text
    assert "1 of 2 rows with a target reach it" in text


def test_the_chart_draws_what_was_measured(report):
    drawn = xml.etree.ElementTree.fromstring(service_chart.draw(report))
    texts = " ".join("".join(part.itertext()) for part in drawn.iter()
                     if part.tag.endswith("}text"))
    assert "Some CPU" in texts and "share of the peak" in texts and "batching off" in texts
    assert "raw echo" not in texts
    spots = [part for part in drawn.iter() if part.tag.endswith("}circle")]
    assert len(spots) == 2 + 4 + 2
    limits = [part for part in drawn.iter() if part.get("class") == "peak"]
    assert len(limits) == 2  # the shares at 2 and 10 times the capacity


def test_the_tables_go_between_the_marks_of_a_file(tmp_path):
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{service_report.BEGIN}old\n{service_report.END}after\n")
    marks = service_report.BEGIN, service_report.END
    service_report.report_file.put(path, "new\n", *marks)
    assert path.read_text() == f"before\n{service_report.BEGIN}new\n{service_report.END}after\n"
    path.write_text("no marks")
    with pytest.raises(SystemExit, match="has no lines"):
        service_report.report_file.put(path, "new\n", *marks)
