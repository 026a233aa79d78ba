// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

int PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return kFailed;
  WriteText(stdout, text);
  return kOk;
}

std::string Biases(const v1::LayerInfo& layer) {
  std::string text;
  if (layer.query_bias()) text += 'q';
  if (layer.key_bias()) text += 'k';
  if (layer.value_bias()) text += 'v';
  if (layer.output_bias()) text += 'o';
  return text.empty() ? "-" : text;
}

absl::string_view ComputeType(const v1::LayerInfo& layer) {
  return layer.compute_type() == v1::DATA_TYPE_BFLOAT16  ? "bfloat16"
         : layer.compute_type() == v1::DATA_TYPE_FLOAT32 ? "float32"
                                                         : "?";
}

// What the layer has beyond plain projections, in the words of LayerInfo; "-" for nothing.
std::string Settings(const v1::LayerInfo& layer) {
  std::vector<std::string> all;
  if (layer.has_rotary()) {
    const v1::Rotary& rotary = layer.rotary();
    all.push_back(absl::StrCat("rotary=", rotary.width(), rotary.interleaved() ? "i" : "",
                               ",theta=", rotary.theta()));
    if (rotary.has_llama3()) {
      absl::StrAppend(&all.back(), ",llama3=", rotary.factor());
    } else if (rotary.factor() != 1.0) {
      absl::StrAppend(&all.back(), ",linear=", rotary.factor());
    }
  }
  if (layer.has_query_key_norm()) all.push_back("qk-norm");
  if (layer.has_relative_bias()) {
    all.push_back(absl::StrCat("relative=", layer.relative_bias().buckets(),
                               layer.relative_bias().bidirectional() ? "" : ",backward"));
  }
  if (layer.has_softcap()) all.push_back(absl::StrCat("softcap=", layer.softcap()));
  if (layer.has_window_left()) all.push_back(absl::StrCat("window-left=", layer.window_left()));
  if (layer.has_window_right()) all.push_back(absl::StrCat("window-right=", layer.window_right()));
  return all.empty() ? "-" : absl::StrJoin(all, " ");
}

// The layer's block, counted from 0, and the number of blocks: "3/30", or "decoder 3/6" in a model
// with two stacks; "-" if the layer belongs to no model.
std::string Block(const v1::LayerInfo& layer) {
  if (!layer.has_model_place()) return "-";
  const v1::ModelPlace& place = layer.model_place();
  return absl::StrCat(place.stack(), place.stack().empty() ? "" : " ", place.index(), "/",
                      place.count());
}

const char* Decoder(const v1::LayerInfo& layer) {
  if (!layer.has_model_place()) return "-";
  return layer.model_place().decoder() ? "yes" : "no";
}

void PrintTable(const v1::ListLayersResponse& all) {
  size_t width = 4;
  for (const v1::LayerInfo& each : all.layers()) {
    width = std::max(width, EscapeForTerminal(each.name()).size());
  }
  Print(stdout, "%-*s  %6s  %5s  %8s  %8s  %6s  %-8s  %10s  %-12s  %-11s  %-12s  %-7s  %s\n", width,
        "NAME", "EMBED", "HEADS", "KV-HEADS", "HEAD-DIM", "BIASES", "COMPUTE", "PARAMETERS",
        "SHA256", "FAMILY", "BLOCK", "DECODER", "SETTINGS");
  for (const v1::LayerInfo& each : all.layers()) {
    const std::string& family = each.model_place().family();
    Print(stdout, "%-*s  %6d  %5d  %8d  %8d  %6s  %-8s  %10d  %-12s  %-11s  %-12s  %-7s  %s\n",
          width, each.name(), each.embed_dim(), each.num_heads(), each.num_kv_heads(),
          each.head_dim(), Biases(each), ComputeType(each), each.parameter_count(),
          each.sha256().substr(0, 12), family.empty() ? "-" : family, Block(each), Decoder(each),
          Settings(each));
  }
}

}  // namespace

int RunLayers(const std::vector<std::string>& arguments) {
  Connection connection;
  std::string layer;
  bool json = false;
  Args args("attend layers [OPTIONS]", "Lists the layers that the server holds.");
  args.Option("layer", "NAME", "this one only", &layer);
  args.Switch("json", "everything the server says, as JSON", &json);
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportUsage(client.status().message());

  v1::ListLayersResponse all;
  if (layer.empty()) {
    const auto layers = (*client)->ListLayers(connection.call_options());
    if (!layers.ok()) return ReportCall(layers.status());
    for (const v1::LayerInfo& each : *layers) *all.add_layers() = each;
  } else {
    const auto one = (*client)->GetLayer(layer, connection.call_options());
    if (!one.ok()) return ReportCall(one.status());
    *all.add_layers() = *one;
  }
  if (json) return PrintJson(all);
  if (all.layers().empty()) {
    WriteText(stdout, "The server holds no layers.\n");
    return kOk;
  }
  PrintTable(all);
  return kOk;
}

int RunInfo(const std::vector<std::string>& arguments) {
  Connection connection;
  bool json = false;
  Args args("attend info [OPTIONS]", "Prints the server's version, workers and limits.");
  args.Switch("json", "as JSON", &json);
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportUsage(client.status().message());
  const auto info = (*client)->GetServerInfo(connection.call_options());
  if (!info.ok()) return ReportCall(info.status());
  if (json) return PrintJson(*info);
  const v1::Limits& limits = info->limits();
  const absl::Time start = absl::FromUnixSeconds(info->start_time().seconds());
  const auto deadline = absl::Milliseconds(limits.max_deadline_ms());
  const std::vector<std::pair<absl::string_view, std::string>> rows = {
      {"version", info->version()},
      {"serving since", absl::FormatTime(absl::RFC3339_sec, start, absl::UTCTimeZone())},
      {"workers", absl::StrCat(info->workers())},
      {"cpu features", absl::StrJoin(info->cpu_features(), " ")},
      {"max request bytes", absl::StrCat(limits.max_request_bytes())},
      {"max in-flight bytes", absl::StrCat(limits.max_in_flight_bytes())},
      {"max queue requests", absl::StrCat(limits.max_queue_requests())},
      {"max sequence length", absl::StrCat(limits.max_sequence_length())},
      {"max rows", absl::StrCat(limits.max_rows())},
      {"max sequences", absl::StrCat(limits.max_sequences())},
      {"max heads", absl::StrCat(limits.max_heads())},
      {"max head dim", absl::StrCat(limits.max_head_dim())},
      {"max layer name bytes", absl::StrCat(limits.max_layer_name_bytes())},
      {"max weights bytes", absl::StrCat(limits.max_weights_bytes())},
      {"max response bytes", absl::StrCat(limits.max_response_bytes())},
      {"max request compute",
       absl::FormatDuration(absl::Milliseconds(limits.max_request_compute_ms()))},
      {"max deadline", absl::FormatDuration(deadline)},
      {"max concurrent streams", absl::StrCat(limits.max_concurrent_streams())}};
  for (const auto& [name, value] : rows) Print(stdout, "%-22s  %s\n", name, value);
  return kOk;
}

int RunHealth(const std::vector<std::string>& arguments) {
  Connection connection;
  connection.timeout = absl::Seconds(5);
  std::vector<std::string> rest;
  Args args("attend health [SERVICE] [OPTIONS]",
            "Asks for the health of the server, or of one of its services (such as\n"
            "attend.v1.AttentionService). Exit code 0: SERVING; 1: not serving; 3: no answer.\n"
            "Default of --timeout: 5s.");
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, &rest, 1)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportUsage(client.status().message());
  const auto health =
      (*client)->CheckHealth(rest.empty() ? "" : rest[0], connection.call_options());
  if (!health.ok()) return ReportCall(health.status());
  switch (*health) {
    case client::HealthStatus::kServing:
      WriteText(stdout, "SERVING\n");
      return kOk;
    case client::HealthStatus::kNotServing:
      WriteText(stdout, "NOT_SERVING\n");
      return kFailed;
    case client::HealthStatus::kServiceUnknown:
      WriteText(stdout, "SERVICE_UNKNOWN\n");
      return kFailed;
    case client::HealthStatus::kUnknown:
      break;
  }
  WriteText(stdout, "UNKNOWN\n");
  return kFailed;
}

}  // namespace attend::cli
