// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/status_page.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace attend {
namespace {

constexpr char kHead[] = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>attend</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em auto; max-width: 72em; padding: 0 1em;
  color: #222; background: #fff; }
h1 { font-size: 1.5em; margin: 0; }
h2 { font-size: 1.1em; margin: 1.5em 0 .4em; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(20em, 1fr)); gap: 1em; }
figure { margin: 0; border: 1px solid #ccc; padding: .6em; }
figcaption { display: flex; justify-content: space-between; }
figcaption b { font-variant-numeric: tabular-nums; }
svg { width: 100%; height: 6em; display: block; }
polyline { fill: none; stroke: #1565c0; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
table { border-collapse: collapse; }
td, th { text-align: left; padding: .15em 1.2em .15em 0; border-bottom: 1px solid #eee;
  vertical-align: top; overflow-wrap: anywhere; }
.scroll { max-height: 24em; overflow: auto; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; }
  figure { border-color: #444; } td, th { border-color: #333; } polyline { stroke: #64b5f6; }
  a { color: #90caf9; }
}
</style>
</head>
<body>
)html";

// Reads /metrics every two seconds and shows what changed since the last time.
constexpr char kScript[] = R"html(<script>
"use strict";
const PERIOD_MS = 2000, POINTS = 150;

// {"name{labels}": value} of Prometheus' text format.
function parse(text) {
  const series = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const space = line.lastIndexOf(" ");
    series.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return series;
}

// The sum over a family's series whose labels hold all of `labels`.
function sum(series, name, ...labels) {
  let total = 0;
  for (const [key, value] of series) {
    const family = key.split("{", 1)[0];
    if (family === name && labels.every((label) => key.includes(label))) total += value;
  }
  return total;
}

// The quantile of a histogram's observations between two scrapes; null where there are none.
function quantile(before, now, name, q) {
  const counts = new Map();
  for (const [key, value] of now) {
    if (!key.startsWith(name + "_bucket{")) continue;
    const bound = Number(key.match(/le="([^"]*)"/)[1].replace("+Inf", "Infinity"));
    counts.set(bound, (counts.get(bound) || 0) + value - (before.get(key) || 0));
  }
  const bounds = [...counts.keys()].sort((a, b) => a - b);
  const all = counts.get(Infinity) || 0;
  if (all <= 0) return null;
  let lower = 0, below = 0;
  for (const bound of bounds) {
    const upTo = counts.get(bound);
    if (upTo >= q * all) {
      if (bound === Infinity) return lower;
      return lower + (bound - lower) * (q * all - below) / (upTo - below);
    }
    lower = bound;
    below = upTo;
  }
  return lower;
}

function ratio(a, b) { return b > 0 ? a / b : null; }
const number = (value) => value >= 100 ? value.toFixed(0) : value.toPrecision(3);
const time = (seconds) => seconds >= 1 ? number(seconds) + " s" : number(seconds * 1000) + " ms";

// id, how to compute a point of (delta(name, labels), now, before, seconds), how to show it
const CHARTS = [
  ["requests", (d, now, before, s) => d("attend_requests_total") / s, number],
  ["errors", (d, now, before, s) =>
    (d("attend_requests_total") - d("attend_requests_total", 'code="OK"')) / s, number],
  ["p50", (d, now, before) => quantile(before, now, "attend_request_duration_seconds", 0.5), time],
  ["p99", (d, now, before) => quantile(before, now, "attend_request_duration_seconds", 0.99), time],
  ["queue", (d, now) => sum(now, "attend_queue_requests"), number],
  ["oldest", (d, now) => sum(now, "attend_queue_oldest_seconds"), time],
  ["batch", (d) => ratio(d("attend_batch_requests_sum"), d("attend_batch_requests_count")), number],
  ["busy", (d, now, before, s) =>
    ratio(d("attend_executor_busy_seconds_total") / s, sum(now, "attend_executors")),
    (value) => (value * 100).toFixed(0) + " %"],
];
const points = new Map(CHARTS.map(([id]) => [id, []]));

function draw(id, show) {
  const figure = document.getElementById(id), values = points.get(id);
  const last = values[values.length - 1];
  figure.querySelector("b").textContent = last === null ? "none" : show(last);
  const most = Math.max(...values.map((value) => value || 0), 1e-9);
  // Where there was nothing to measure, the line goes on without a point.
  figure.querySelector("polyline").setAttribute("points", values
    .map((value, i) => value === null ? "" : (POINTS - values.length + i) + "," +
      (100 - 95 * value / most).toFixed(2))
    .filter((point) => point !== "").join(" "));
}

let last = null;
async function update() {
  const state = document.getElementById("state");
  try {
    const [metrics, ready] = await Promise.all([fetch("/metrics"), fetch("/readyz")]);
    const now = {at: performance.now(), series: parse(await metrics.text())};
    state.textContent = (await ready.text()).trim();
    if (last !== null) {
      const seconds = (now.at - last.at) / 1000;
      const delta = (name, ...labels) =>
        Math.max(0, sum(now.series, name, ...labels) - sum(last.series, name, ...labels));
      for (const [id, compute, show] of CHARTS) {
        const values = points.get(id);
        values.push(compute(delta, now.series, last.series, seconds));
        if (values.length > POINTS) values.shift();
        draw(id, show);
      }
    }
    last = now;
  } catch (error) {
    state.textContent = "no answer from the server";
  }
  setTimeout(update, PERIOD_MS);
}
update();
</script>
</body>
</html>
)html";

constexpr std::pair<const char*, const char*> kCharts[] = {
    {"requests", "requests per second"}, {"errors", "not OK, per second"},
    {"p50", "latency, median"},          {"p99", "latency, 99th percentile"},
    {"queue", "requests that wait"},     {"oldest", "age of the oldest of them"},
    {"batch", "requests per batch"},     {"busy", "busy executors"}};

std::string Row(const char* cell, const std::vector<std::string>& texts) {
  std::string row = "<tr>";
  for (const std::string& text : texts) {
    absl::StrAppend(&row, "<", cell, ">", EscapeHtml(text), "</", cell, ">");
  }
  return row + "</tr>\n";
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string MakeStatusPage(const StatusInfo& info) {
  std::string page = kHead;
  absl::StrAppend(&page, "<h1>attend ", EscapeHtml(info.version), "</h1>\n<p>revision ",
                  EscapeHtml(info.revision), ", built by ", EscapeHtml(info.compiler),
                  "; the server says: <b id=\"state\">?</b></p>\n"
                  "<p><a href=\"/metrics\">metrics</a> &middot; <a href=\"/readyz\">readiness</a> "
                  "&middot; <a href=\"/healthz\">liveness</a></p>\n"
                  "<h2>The last five minutes</h2>\n<div class=\"charts\">\n");
  for (const auto& [id, title] : kCharts) {
    absl::StrAppend(&page, "<figure id=\"", id, "\"><figcaption>", title,
                    "<b>?</b></figcaption><svg viewBox=\"0 0 150 100\" "
                    "preserveAspectRatio=\"none\"><polyline points=\"\"/></svg></figure>\n");
  }
  absl::StrAppend(&page, "</div>\n<h2>", info.layers.size(),
                  info.layers.size() == 1 ? " layer" : " layers",
                  "</h2>\n<div class=\"scroll\"><table id=\"layers\">\n",
                  Row("th", {std::begin(kLayerColumns), std::end(kLayerColumns)}));
  for (const std::vector<std::string>& layer : info.layers) page += Row("td", layer);
  absl::StrAppend(&page,
                  "</table></div>\n<h2>Settings</h2>\n<p>Files are not named here.</p>\n"
                  "<div class=\"scroll\"><table id=\"settings\">\n");
  for (const auto& [name, value] : info.settings) page += Row("td", {name, value});
  absl::StrAppend(&page, "</table></div>\n", kScript);
  return page;
}

}  // namespace attend
