// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/arrays.h"
#include "client/cli/choice.h"
#include "client/cli/command.h"
#include "client/cli/load.h"
#include "client/cli/random_tensor.h"
#include "client/cli/report.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

// The load goes round so many different requests, as far as memory allows, so
// that neither end lives from one request in its cache.
constexpr size_t kMaxSamples = 64;
constexpr int64_t kMaxSampleBytes = 256 << 20;

struct BenchArguments {
  Connection connection;
  std::string layer;
  bool use_operator = false;
  int64_t heads = 12, kv_heads = 0, head_dim = 64;
  int64_t batch = 1;
  std::string tokens = "16";
  std::string dtype = "float32";
  bool causal = false;
  std::string priority_name;
  LoadPlan plan;
  std::string json;
  bool quiet = false;

  client::Priority priority = client::Priority::kNormal;
  // Of --tokens.
  int64_t min_tokens = 0, max_tokens = 0;

  void AddTo(Args& args);
};

void BenchArguments::AddTo(Args& args) {
  connection.timeout = absl::Seconds(10);
  connection.max_attempts = 1;
  plan.warmup = absl::Seconds(1);
  plan.duration = absl::Seconds(10);
  args.Section("Load");
  args.Option("concurrency", "N", "closed loop: so many requests always under way; default 1",
              &plan.concurrency);
  args.Option("rate", "X",
              "open loop: so many requests a second, sent when planned; latency\n"
              "counts from the planned time",
              &plan.rate);
  args.Switch("poisson", "random gaps between the sends of --rate", &plan.poisson);
  args.Option("max-under-way", "N",
              "with --rate: send no more while so many are not answered;\ndefault 10000",
              &plan.max_under_way);
  args.Option("duration", "TIME", "measured; default 10s", &plan.duration);
  args.Option("warmup", "TIME", "before it; default 1s", &plan.warmup);
  args.Option("channels", "N",
              "connections; default 1. One carries at most the server's max concurrent\n"
              "streams (attend info) at a time; more requests wait on this side",
              &connection.channels);
  args.Section("Requests: random values");
  args.Option("layer", "NAME", "default: the server's only one", &layer);
  args.Switch("operator", "the bare operator instead of a layer", &use_operator);
  args.Option("heads", "H", "of the operator; default 12", &heads);
  args.Option("kv-heads", "H", "of the operator; default: as --heads", &kv_heads);
  args.Option("head-dim", "D", "of the operator; default 64", &head_dim);
  args.Option("batch", "B", "sequences a request; default 1", &batch);
  args.Option("tokens", "N|MIN..MAX",
              "rows a sequence; a range: random in it, sent packed; default 16", &tokens);
  args.Option("dtype", "TYPE", "float32 (default), bfloat16 or float16", &dtype);
  args.Switch("causal", "causal attention", &causal);
  args.Option("priority", "high|normal|low", "default normal", &priority_name);
  args.Section("Output");
  args.Switch("check", "an answer whose bits differ from the first of its request is wrong",
              &plan.check);
  args.Option("json", "FILE", "also write the report as JSON", &json);
  args.Switch("quiet", "no progress on stderr", &quiet);
}

absl::Status ReadChoices(const Args& args, BenchArguments* from) {
  const auto positive = [](const char* name, int64_t value, int64_t max) {
    if (value >= 1 && value <= max) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, " must be 1 to ", max, ", got ", value));
  };
  absl::Status status;
  status.Update(positive("concurrency", from->plan.concurrency, 100000));
  status.Update(positive("max-under-way", from->plan.max_under_way, 10000000));
  status.Update(positive("batch", from->batch, 1 << 20));
  status.Update(positive("heads", from->heads, 1 << 16));
  status.Update(positive("head-dim", from->head_dim, 1 << 16));
  if (args.Given("kv-heads")) status.Update(positive("kv-heads", from->kv_heads, 1 << 16));
  if (from->kv_heads == 0) from->kv_heads = from->heads;
  if (args.Given("rate") && args.Given("concurrency")) {
    status.Update(absl::InvalidArgumentError("--rate and --concurrency exclude each other"));
  }
  if (args.Given("rate") && !(from->plan.rate > 0 && from->plan.rate <= 1e6)) {
    status.Update(absl::InvalidArgumentError("--rate must be above 0 and at most 1000000"));
  }
  for (const char* name : {"poisson", "max-under-way"}) {
    if (args.Given(name) && !args.Given("rate")) {
      status.Update(absl::InvalidArgumentError(absl::StrCat("--", name, " needs --rate")));
    }
  }
  for (const char* name : {"heads", "kv-heads", "head-dim"}) {
    if (args.Given(name) && !from->use_operator) {
      status.Update(absl::InvalidArgumentError(absl::StrCat("--", name, " needs --operator")));
    }
  }
  if (!from->layer.empty() && from->use_operator) {
    status.Update(absl::InvalidArgumentError("--layer and --operator exclude each other"));
  }
  if (from->plan.duration < absl::Milliseconds(1)) {
    status.Update(absl::InvalidArgumentError("--duration must be at least 1ms"));
  }
  status.Update(ChoosePriority(from->priority_name, &from->priority));
  const std::vector<std::string> ends = absl::StrSplit(from->tokens, "..");
  if (ends.size() > 2 || !absl::SimpleAtoi(ends[0], &from->min_tokens) ||
      !absl::SimpleAtoi(ends.back(), &from->max_tokens) || from->min_tokens < 1 ||
      from->max_tokens < from->min_tokens || from->max_tokens > int64_t{1} << 24) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("--tokens must be N or MIN..MAX, got \"", from->tokens, "\"")));
  }
  return status;
}

// Makes the requests of the load.
class SampleMaker {
 public:
  SampleMaker(const BenchArguments& from, DataType type, const v1::LayerInfo& layer)
      : from_(from), type_(type), layer_(layer), random_(from.plan.seed) {}

  absl::StatusOr<std::vector<Sample>> Make() {
    std::vector<Sample> samples;
    int64_t bytes = 0;
    while (samples.size() < kMaxSamples && (samples.empty() || bytes < kMaxSampleBytes)) {
      absl::StatusOr<Sample> sample = MakeOne();
      if (!sample.ok()) return sample.status();
      bytes += static_cast<int64_t>(sample->request.size_bytes());
      samples.push_back(*std::move(sample));
    }
    return samples;
  }

 private:
  bool packed() const { return from_.min_tokens != from_.max_tokens; }

  // Leading axes of one array: [B, L] or [T].
  client::Shape Lead(const std::vector<int64_t>& lengths, int64_t tokens) const {
    if (packed()) return {tokens};
    return {from_.batch, lengths[0]};
  }

  absl::StatusOr<client::TensorView> Array(client::Shape shape,
                                           std::initializer_list<int64_t> tail) {
    shape.insert(shape.end(), tail);
    absl::StatusOr<Tensor> tensor = ConvertTensor(RandomTensor(shape, random_()), type_);
    if (!tensor.ok()) return tensor.status();
    return tensor->view();  // shares ownership: sent without a copy
  }

  absl::StatusOr<Sample> MakeOne() {
    std::uniform_int_distribution<int64_t> length(from_.min_tokens, from_.max_tokens);
    std::vector<int64_t> lengths(static_cast<size_t>(from_.batch));
    Sample sample;
    for (int64_t& each : lengths) sample.tokens += each = length(random_);
    const client::Shape lead = Lead(lengths, sample.tokens);
    absl::StatusOr<client::PreparedRequest> prepared =
        from_.use_operator ? Operator(lead, lengths, &sample) : Layer(lead, lengths, &sample);
    if (!prepared.ok()) return prepared.status();
    sample.request = *std::move(prepared);
    return sample;
  }

  absl::StatusOr<client::PreparedRequest> Operator(const client::Shape& lead,
                                                   const std::vector<int64_t>& lengths,
                                                   Sample* sample) {
    const auto query = Array(lead, {from_.heads, from_.head_dim});
    const auto key = Array(lead, {from_.kv_heads, from_.head_dim});
    const auto value = Array(lead, {from_.kv_heads, from_.head_dim});
    for (const auto* each : {&query, &key, &value}) {
      if (!each->ok()) return each->status();
    }
    client::ScaledDotProductAttentionRequest request;
    request.query = *query;
    request.key = *key;
    request.value = *value;
    if (packed()) request.query_lengths = request.key_lengths = lengths;
    request.options.causal = from_.causal;
    request.priority = from_.priority;
    sample->output_shape = query->shape();
    return client::PreparedRequest::Create(request);
  }

  absl::StatusOr<client::PreparedRequest> Layer(const client::Shape& lead,
                                                const std::vector<int64_t>& lengths,
                                                Sample* sample) {
    const auto query = Array(lead, {layer_.embed_dim()});
    if (!query.ok()) return query.status();
    client::MultiHeadAttentionRequest request;
    request.layer = layer_.name();
    request.query = *query;
    if (layer_.key_dim() != layer_.embed_dim() || layer_.value_dim() != layer_.embed_dim()) {
      const auto key = Array(lead, {layer_.key_dim()});
      const auto value = Array(lead, {layer_.value_dim()});
      if (!key.ok()) return key.status();
      if (!value.ok()) return value.status();
      request.key = *key;
      request.value = *value;
      if (packed()) request.key_lengths = lengths;
    }
    if (packed()) request.query_lengths = lengths;
    request.options.causal = from_.causal;
    request.priority = from_.priority;
    sample->output_shape = query->shape();
    return client::PreparedRequest::Create(request);
  }

  const BenchArguments& from_;
  const DataType type_;
  const v1::LayerInfo& layer_;
  std::mt19937_64 random_;
};

void PrintProgress(const LoadProgress& progress) {
  Print(stderr, "%6.1f s %s %8.1f/s  p50 %s  p99 %s  %d failed  %d under way\n",
        absl::ToDoubleSeconds(progress.elapsed), progress.warming_up ? "warm-up " : "measured",
        static_cast<double>(progress.good) / absl::ToDoubleSeconds(progress.since_last),
        FormatLatency(progress.p50), FormatLatency(progress.p99), progress.failed,
        progress.under_way);
}

std::atomic<bool> stop_asked = false;
void AskToStop(int) {
  stop_asked = true;
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C ends the program
}

}  // namespace

int RunBench(const std::vector<std::string>& arguments) {
  BenchArguments from;
  Args args("attend bench [--concurrency=N | --rate=X] [OPTIONS]",
            "Sends load and reports throughput and latency. Without retries unless\n"
            "--max-attempts says so. Default of --timeout: 10s. Ctrl-C ends early with a report.\n"
            "Exit code 1 where no answer was good or an answer was wrong.");
  from.AddTo(args);
  from.connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  if (absl::Status s = ReadChoices(args, &from); !s.ok()) return ReportUsage(s.message());
  const absl::StatusOr<DataType> type = ParseDataType(from.dtype);
  if (!type.ok()) return ReportUsage(type.status().message());
  const auto client = from.connection.Connect();
  if (!client.ok()) return ReportUsage(client.status().message());
  from.plan.call = from.connection.call_options();

  BenchSetting setting;
  const auto info = (*client)->GetServerInfo(from.plan.call);
  if (!info.ok()) return ReportCall(info.status());
  setting.server_version = info->version();
  setting.cpu_features.assign(info->cpu_features().begin(), info->cpu_features().end());
  v1::LayerInfo layer;
  if (!from.use_operator) {
    absl::StatusOr<v1::LayerInfo> found = FindLayer(**client, from.layer, from.plan.call);
    if (!found.ok()) return ReportCall(found.status());
    layer = *std::move(found);
  }
  const absl::StatusOr<std::vector<Sample>> samples = SampleMaker(from, *type, layer).Make();
  if (!samples.ok()) return ReportUsage(samples.status().message());
  // Once before the load: a request that the server refuses ends here, with its reason.
  const auto first = (*client)->Call(samples->front().request, from.plan.call);
  if (!first.ok()) return ReportCall(first.status());

  setting.plan = from.plan;
  setting.mode = from.plan.rate > 0 ? "open" : "closed";
  setting.target = from.use_operator ? "operator" : layer.name();
  setting.request = absl::StrCat(
      from.batch, " x ", from.tokens, " tokens of ",
      from.use_operator ? absl::StrCat(from.heads, "/", from.kv_heads, " heads of ", from.head_dim)
                        : absl::StrCat(layer.embed_dim()),
      ", ", from.dtype, from.causal ? ", causal" : "");
  int64_t bytes = 0;
  for (const Sample& sample : *samples) bytes += static_cast<int64_t>(sample.request.size_bytes());
  setting.request_bytes = bytes / static_cast<int64_t>(samples->size());

  std::signal(SIGINT, AskToStop);
  Load load(**client, *samples, from.plan);
  const LoadResult result = load.Run(
      [&](const LoadProgress& progress) {
        if (!from.quiet) PrintProgress(progress);
      },
      stop_asked);
  WriteText(stdout, ReportText(setting, result));
  if (!from.json.empty()) {
    const std::string text = ReportJson(setting, result);
    if (absl::Status s = internal::WriteFile(from.json, {text}); !s.ok()) {
      return ReportUsage(s.message());
    }
  }
  return result.good.count() > 0 && result.wrong == 0 ? kOk : kFailed;
}

}  // namespace attend::cli
