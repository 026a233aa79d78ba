// SPDX-License-Identifier: Apache-2.0

// Question: does a change of the code change a bit of any result?
//
//   result_hashes [--filter=TEXT] [--families=DIR]
//
// Prints one line per case: its name and a hash of all that its answer holds. Equal lines before
// and after a change mean equal results; tests/hashes/compare does that for two builds on each
// SIMD path. Hashes are not kept with the code: they differ between SIMD paths, CPUs and
// versions of oneDNN.
//
// Each case runs alone on one worker and in a batch of up to six on two or three workers. The
// program ends with 1 where the two differ or a request fails. A layer that the SIMD path cannot
// compute prints "refused" in place of a hash.
//
// --filter runs the cases whose name contains TEXT. --families is the folder of the families'
// checkpoints; an empty one leaves their cases out, for a machine that has the program alone
// (tests/emulated/run).

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/layer/registry.h"
#include "core/weights/load.h"
#include "tests/core/engine/held_engine.h"
#include "tests/core/engine/test_requests.h"
#include "tests/hashes/case.h"
#include "tests/hashes/fnv.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {
namespace {

constexpr size_t kBatch = 6;

struct Flags {
  std::string filter;
  std::string families = ATTEND_FAMILY_GOLDENS;
};

// The bits of a tensor. All NaN count as one, because the compiler chooses which of two
// operands' NaN an instruction passes on.
void AddTensor(const Tensor& tensor, Fnv& hash) {
  for (const int64_t size : tensor.shape()) hash.Add(static_cast<uint64_t>(size), sizeof(size));
  const size_t size = ElementSize(tensor.type());
  for (size_t at = 0; at < tensor.byte_size(); at += size) {
    uint32_t word = 0;
    std::memcpy(&word, tensor.data() + at, size);
    const float value = LoadFloat(tensor.type(), tensor.data() + at, 0);
    hash.Add(value == value ? word : UINT32_MAX, size);
  }
}

uint64_t HashResponse(const Response& response) {
  Fnv hash;
  AddTensor(response.output, hash);
  if (response.weights.has_value()) AddTensor(*response.weights, hash.AddText("weights"));
  if (response.log_sum_exp.has_value()) AddTensor(*response.log_sum_exp, hash.AddText("logs"));
  return hash.value();
}

// The layers of the cases that this SIMD path can compute.
class Layers {
 public:
  explicit Layers(const std::string& families) : families_(families) {}

  const LayerRegistry& registry() const { return registry_; }

  // The cases of all layers, including refused ones.
  absl::StatusOr<std::vector<Case>> Load() {
    const std::vector<LayerToHash> layers = LayersToHash();
    std::vector<Case> cases = LayerCases(layers);
    for (const LayerToHash& layer : layers) {
      absl::StatusOr<std::unique_ptr<const Layer>> made = MakeLayerToHash(layer);
      if (absl::IsFailedPrecondition(made.status())) continue;
      if (!made.ok()) return made.status();
      if (absl::Status added = registry_.Add(*std::move(made)); !added.ok()) return added;
    }
    if (families_.empty()) return cases;
    for (const char* family : {"llama", "llama_linear", "llama3", "mistral", "qwen2", "qwen3",
                               "gemma2", "gpt2", "gptj", "phi", "t5"}) {
      if (absl::Status loaded = LoadFamily(family, cases); !loaded.ok()) return loaded;
    }
    return cases;
  }

 private:
  absl::Status LoadFamily(const std::string& family, std::vector<Case>& cases) {
    ModelSpec spec;
    spec.name = family;
    spec.path = families_ + "/" + family;
    spec.matmul = MatmulFromEnvironment();
    auto layers = LoadModel(spec);
    if (!layers.ok()) return layers.status();
    spec.name = family + "_bf16";
    spec.compute = ComputeType::kBFloat16;
    auto bfloat16 = LoadModel(spec);
    if (!bfloat16.ok() && !absl::IsFailedPrecondition(bfloat16.status())) return bfloat16.status();
    for (std::unique_ptr<const Layer>& layer : *layers) {
      LayerConfig config = layer->config();
      for (Case& one : CheckpointCases(config)) cases.push_back(std::move(one));
      config.name = spec.name + config.name.substr(family.size());
      for (Case& one : CheckpointCases(config)) cases.push_back(std::move(one));
      if (absl::Status added = registry_.Add(std::move(layer)); !added.ok()) return added;
    }
    if (!bfloat16.ok()) return absl::OkStatus();
    for (std::unique_ptr<const Layer>& layer : *bfloat16) {
      if (absl::Status added = registry_.Add(std::move(layer)); !added.ok()) return added;
    }
    return absl::OkStatus();
  }

  const std::string families_;
  LayerRegistry registry_;
};

// Runs cases and prints their hashes.
class Runner {
 public:
  explicit Runner(const LayerRegistry& layers)
      : layers_(layers), one_(1, layers), two_(2, layers), three_(3, layers) {}

  // `cases` belong to one layer, or all to the operator. False if one fails.
  bool Run(const std::vector<Case>& cases) {
    if (!cases.front().layer.empty() && layers_.Find(cases.front().layer) == nullptr) {
      for (const Case& one : cases) std::printf("%s refused\n", one.name.c_str());
      return true;
    }
    std::vector<Request> requests;
    for (const Case& one : cases) {
      Draw draw(one.name);
      requests.push_back(one.make(draw));
    }
    std::vector<absl::StatusOr<Response>> alone;
    for (const Request& request : requests) alone.push_back(Call(one_.engine(), Copy(request)));
    HeldEngine& several = batches_++ % 2 == 0 ? three_ : two_;
    const auto together = several.CallTogether(std::move(requests));
    bool fine = true;
    for (size_t i = 0; i < cases.size(); ++i) {
      fine &= Print(cases[i].name, alone[i], together[i], cases.size());
    }
    return fine;
  }

 private:
  static bool Print(const std::string& name, const absl::StatusOr<Response>& alone,
                    const absl::StatusOr<Response>& together, size_t count) {
    for (const auto* response : {&alone, &together}) {
      if (response->ok()) continue;
      std::fprintf(stderr, "%s: %s\n", name.c_str(), response->status().ToString().c_str());
      return false;
    }
    const uint64_t hash = HashResponse(*alone);
    std::printf("%s %016" PRIx64 "\n", name.c_str(), hash);
    if (together->timing.batch_requests != static_cast<int64_t>(count)) {
      std::fprintf(stderr, "%s: ran in a batch of %" PRId64 " requests, not %zu\n", name.c_str(),
                   together->timing.batch_requests, count);
      return false;
    }
    if (HashResponse(*together) == hash) return true;
    std::fprintf(stderr, "%s: its bits in a batch are not those alone\n", name.c_str());
    return false;
  }

  const LayerRegistry& layers_;
  HeldEngine one_, two_, three_;
  size_t batches_ = 0;
};

// The cases whose names contain the filter. A name is a seed and a key for comparison, so none
// occurs twice.
absl::StatusOr<std::vector<Case>> Select(std::vector<Case> all, const std::string& filter) {
  std::vector<Case> selected;
  std::set<std::string> names;
  for (Case& one : all) {
    if (!names.insert(one.name).second) {
      return absl::InternalError(absl::StrCat("two cases have the name ", one.name));
    }
    if (absl::StrContains(one.name, filter)) selected.push_back(std::move(one));
  }
  if (!selected.empty()) return selected;
  return absl::InvalidArgumentError(
      absl::StrCat("no case has a name that contains \"", filter, "\""));
}

absl::StatusOr<std::vector<Case>> AllCases(Layers& layers) {
  absl::StatusOr<std::vector<Case>> of_layers = layers.Load();
  if (!of_layers.ok()) return of_layers.status();
  std::vector<Case> all;
  for (const auto& cases :
       {OptionCases(), ShapeCases(), LongCases(), NonFiniteCases(), *std::move(of_layers)}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

// False if a case fails.
bool RunGroups(const std::vector<Case>& cases, Runner& runner) {
  bool fine = true;
  for (size_t begin = 0, end = 0; begin < cases.size(); begin = end) {
    while (end < cases.size() && end - begin < kBatch && cases[end].layer == cases[begin].layer) {
      ++end;
    }
    fine &= runner.Run({cases.begin() + static_cast<std::ptrdiff_t>(begin),
                        cases.begin() + static_cast<std::ptrdiff_t>(end)});
  }
  return fine;
}

int RunAll(const Flags& flags) {
  Layers layers(flags.families);
  absl::StatusOr<std::vector<Case>> cases = AllCases(layers);
  if (cases.ok()) cases = Select(*std::move(cases), flags.filter);
  if (!cases.ok()) {
    std::fprintf(stderr, "%s\n", cases.status().ToString().c_str());
    return 1;
  }
  std::printf("seed %" PRIu64 "\n", kHashesSeed);
  Runner runner(layers.registry());
  return RunGroups(*cases, runner) ? 0 : 1;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  attend::Flags flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--filter=")) {
      flags.filter = std::string(argument);
    } else if (absl::ConsumePrefix(&argument, "--families=")) {
      flags.families = std::string(argument);
    } else {
      std::fprintf(stderr, "usage: result_hashes [--filter=TEXT] [--families=DIR]\n");
      return 2;
    }
  }
  return attend::RunAll(flags);
}
