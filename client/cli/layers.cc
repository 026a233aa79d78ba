// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

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
  Print(stdout, "%-*s  %6s  %5s  %8s  %8s  %6s  %-8s  %10s  %-12s  %10s  %-11s  %-12s  %-7s  %s\n",
        width, "NAME", "EMBED", "HEADS", "KV-HEADS", "HEAD-DIM", "BIASES", "COMPUTE", "PARAMETERS",
        "SHA256", "GENERATION", "FAMILY", "BLOCK", "DECODER", "SETTINGS");
  for (const v1::LayerInfo& each : all.layers()) {
    const std::string& family = each.model_place().family();
    Print(stdout,
          "%-*s  %6d  %5d  %8d  %8d  %6s  %-8s  %10d  %-12s  %10d  %-11s  %-12s  %-7s  %s\n", width,
          each.name(), each.embed_dim(), each.num_heads(), each.num_kv_heads(), each.head_dim(),
          Biases(each), ComputeType(each), each.parameter_count(), each.sha256().substr(0, 12),
          each.generation(), family.empty() ? "-" : family, Block(each), Decoder(each),
          Settings(each));
  }
}

}  // namespace

int RunLayers(const std::vector<std::string>& arguments) {
  Connection connection;
  std::vector<std::string> names;
  bool json = false;
  Args args("attend layers [NAME] [OPTIONS]",
            "Lists the layers that the server holds, or the one of this name.");
  args.Switch("json", "Print all that the server tells of them, as JSON.", &json);
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, &names, 1)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());

  v1::ListLayersResponse all;
  if (names.empty()) {
    const auto layers = (*client)->ListLayers(connection.call_options());
    if (!layers.ok()) return ReportCall(**client, connection, layers.status());
    for (const v1::LayerInfo& each : *layers) *all.add_layers() = each;
  } else {
    const auto one = (*client)->GetLayer(names[0], connection.call_options());
    if (!one.ok()) return ReportCall(**client, connection, one.status());
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

}  // namespace attend::cli
