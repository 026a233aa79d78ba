// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/writer.h"
#include "server/version.h"

namespace attend {
namespace {

using wire_writer::AppendMessage;
using wire_writer::AppendTag;
using wire_writer::AppendVarintField;

// opentelemetry/proto/trace/v1/trace.proto, Span: trace_id 1, span_id 2, parent_span_id 4, name 5,
// kind 6, start_time_unix_nano 7, end_time_unix_nano 8, repeated attributes 9, status 15, flags 16.
// Status: code 3.
constexpr int kAttributes = 9;
constexpr uint64_t kKindServer = 2;
constexpr uint64_t kStatusError = 2;

// Of Span.flags, beside the W3C's flags in its lowest byte: that it is known whether the parent is
// in another process, and that it is.
constexpr uint32_t kParentIsRemote = 0x100 | 0x200;

// opentelemetry/proto/resource/v1/resource.proto, Resource: repeated attributes 1.
constexpr int kResourceAttributes = 1;

// opentelemetry/proto/common/v1/common.proto, KeyValue: key 1, value 2.
void AppendAttribute(int field, absl::string_view key, absl::string_view value, std::string& out) {
  std::string pair;
  AppendMessage(1, key, pair);
  AppendMessage(2, value, pair);
  AppendMessage(field, pair, out);
}

// AnyValue, one of string_value 1, int_value 3, double_value 4; also a 0 is written, because
// otherwise there would be no value. An empty text is left out with its key.
void AppendText(int field, absl::string_view key, absl::string_view text, std::string& out) {
  if (text.empty()) return;
  std::string value;
  AppendMessage(1, text, value);
  AppendAttribute(field, key, value, out);
}

void AppendInt(absl::string_view key, int64_t number, std::string& span) {
  std::string value;
  AppendTag(3, WireType::kVarint, value);
  wire_writer::AppendVarint(static_cast<uint64_t>(number), value);
  AppendAttribute(kAttributes, key, value, span);
}

void AppendMilliseconds(absl::string_view key, absl::Duration duration, std::string& span) {
  std::string value;
  AppendTag(4, WireType::kFixed64, value);
  wire_writer::AppendDouble(absl::ToDoubleMilliseconds(duration), value);
  AppendAttribute(kAttributes, key, value, span);
}

void AppendTime(int field, absl::Time time, std::string& span) {
  AppendTag(field, WireType::kFixed64, span);
  wire_writer::AppendFixed64(static_cast<uint64_t>(absl::ToUnixNanos(time)), span);
}

// What gRPC's conventions of OpenTelemetry call an error of the server, and not of the caller.
bool IsServerError(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

// The bytes of a valid traceparent's hexadecimal digits.
std::string ReadBytes(absl::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    uint32_t byte = 0;
    static_cast<void>(absl::SimpleHexAtoi(digits.substr(i, 2), &byte));
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

// Precondition: the traceparent is valid.
uint8_t TraceFlags(absl::string_view traceparent) {
  return static_cast<uint8_t>(ReadBytes(traceparent.substr(53, 2)).front());
}

// Resource: what all spans of the server have in common.
std::string EncodeResource() {
  std::string resource;
  AppendText(kResourceAttributes, "service.name", "attend", resource);
  AppendText(kResourceAttributes, "service.version", kVersion, resource);
  AppendText(kResourceAttributes, "attend.revision", kRevision, resource);
  return resource;
}

// opentelemetry/proto/common/v1/common.proto, InstrumentationScope: name 1, version 2.
std::string EncodeScope() {
  std::string scope;
  AppendMessage(1, "attend", scope);
  AppendMessage(2, kVersion, scope);
  return scope;
}

}  // namespace

bool IsSampled(absl::string_view traceparent) {
  return !traceparent.empty() && (TraceFlags(traceparent) & 1) != 0;
}

std::string NewSpanId() {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  std::string id;
  wire_writer::AppendFixed64(std::max(random(), uint64_t{1}), id);
  return id;
}

std::string EncodeSpan(const RequestEnd& end, absl::string_view span_id, absl::Time ended) {
  const RequestDetails& details = end.details;
  std::string span;
  AppendMessage(1, ReadBytes(end.traceparent.substr(3, 32)), span);
  AppendMessage(2, span_id, span);
  AppendMessage(4, ReadBytes(end.traceparent.substr(36, 16)), span);
  AppendMessage(5, end.method.empty() ? "unknown" : absl::StrCat(end.service, "/", end.method),
                span);
  AppendVarintField(6, kKindServer, span);
  AppendTime(7, ended - end.duration, span);
  AppendTime(8, ended, span);
  AppendText(kAttributes, "rpc.system", "grpc", span);
  AppendText(kAttributes, "rpc.service", end.service, span);
  AppendText(kAttributes, "rpc.method", end.method, span);
  AppendInt("rpc.grpc.status_code", static_cast<int64_t>(end.code), span);
  AppendText(kAttributes, "attend.reason", end.reason, span);
  AppendText(kAttributes, "attend.request_id", end.request_id, span);
  if (end.item) AppendText(kAttributes, "attend.item", absl::StrCat(*end.item), span);
  AppendText(kAttributes, "attend.layer", details.layer, span);
  AppendText(kAttributes, "attend.identity", end.identity, span);
  AppendInt("attend.rows", details.rows, span);
  AppendInt("attend.bytes_in", details.bytes_in, span);
  AppendInt("attend.bytes_out", details.bytes_out, span);
  AppendMilliseconds("attend.decode_ms", details.decode, span);
  AppendMilliseconds("attend.queue_ms", details.queue, span);
  AppendMilliseconds("attend.compute_ms", details.compute, span);
  AppendMilliseconds("attend.encode_ms", details.encode, span);
  if (IsServerError(end.code)) {
    std::string status;
    AppendVarintField(3, kStatusError, status);
    AppendMessage(15, status, span);
  }
  AppendTag(16, WireType::kFixed32, span);
  wire_writer::AppendFixed32(kParentIsRemote | TraceFlags(end.traceparent), span);
  return span;
}

// opentelemetry/proto/collector/trace/v1/trace_service.proto, ExportTraceServiceRequest: repeated
// resource_spans 1. trace.proto, ResourceSpans: resource 1, repeated scope_spans 2; ScopeSpans:
// scope 1, repeated spans 2.
std::string EncodeExportRequest(const std::vector<std::string>& spans) {
  std::string scope_spans, resource_spans, request;
  AppendMessage(1, EncodeScope(), scope_spans);
  for (const std::string& span : spans) AppendMessage(2, span, scope_spans);
  AppendMessage(1, EncodeResource(), resource_spans);
  AppendMessage(2, scope_spans, resource_spans);
  AppendMessage(1, resource_spans, request);
  return request;
}

}  // namespace attend
