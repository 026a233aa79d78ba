#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables and the chart of docs/performance.md, out of a report of service_bench.py.

    service_report.py build/bench_service.json --chart docs/service.svg --into docs/performance.md

prints the fragment, or puts it between the lines <!-- service --> and <!-- /service --> of a file.
"""

import pathlib
import sys

import service_chart

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import report_file  # noqa: E402  (found on the path above)

BEGIN, END = "<!-- service -->\n", "<!-- /service -->\n"


def number(value):
    """With three digits or so: 12,345, 123, 12.3, 1.23, 0.012."""
    if value == 0 or abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def cell(figure, with_spread):
    """'12.3 (11.9-12.8)': median, lowest and highest of the rounds; '-' where there is none."""
    if figure is None:
        return "-"
    middle, low, high = figure
    spread = f" ({number(low)}-{number(high)})" if with_spread and low != high else ""
    return number(middle) + spread


def codes_text(codes):
    total = sum(codes.values())
    return ", ".join(f"{name} {count / total:.1%}".replace("%", " %")
                     for name, count in codes.items())


def group_lines(report, name):
    """Lines of Markdown: title, table and note of a group."""
    rows = [row for row in report["rows"] if row["group"] == name]
    about = report["groups"][name]
    columns = list(dict.fromkeys(key for row in rows for key in row["figures"]))
    spread = {*columns[:1], *(key for row in rows for key in row["limits"])}
    has_targets = any(row["target"] for row in rows)
    has_codes = any(row["codes"] for row in rows)
    head = ["", *columns, *["codes"] * has_codes, *["target"] * has_targets]
    yield about["title"] + ":"
    yield ""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        mark = {True: "", False: " †", None: " ‡" if row["target"] else ""}[row["met"]]
        cells = [row["name"] + mark + " WRONG" * (not row["correct"] and bool(row["codes"]))]
        cells += [cell(row["figures"].get(key), key in spread) for key in columns]
        cells += [codes_text(row["codes"])] * has_codes
        cells += [f"*{row['target']}*" if row["target"] else ""] * has_targets
        yield f"| {' | '.join(cells)} |"
    if about["note"]:
        yield ""
        yield about["note"]


def machine_line(about):
    return (f"{about['cores']} x {about['cpu']} ({', '.join(about['features'])}); "
            f"{about['system']}")


def fragment(report, chart_path):
    """The whole text, lines of Markdown."""
    rounds = report["method"]["rounds"]
    yield (f"`./dev bench service{' --quick' * report['method']['quick']}` on "
           f"{machine_line(report['machine'])}. "
           + (f"Medians of {rounds} rounds, in brackets the lowest and the highest of what has a "
              "target and of each table's first figure; "
              if rounds > 1 else "One round; ")
           + "every good answer was compared with the bytes that the same request gets alone.")
    if chart_path:
        yield f"\n![The service under load]({chart_path})"
    for name in dict.fromkeys(row["group"] for row in report["rows"]):
        yield ""
        yield from group_lines(report, name)
    judged = [row["met"] for row in report["rows"] if row["target"]]
    yield (f"\n{judged.count(True)} of {len(judged)} rows with a target reach it; † does not, "
           "‡ could not be judged: a figure is missing, or calls were sent late.")


if __name__ == "__main__":
    report_file.main(__doc__.splitlines()[0], fragment, service_chart.draw, BEGIN, END)
