// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span.h"

#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "google/protobuf/unknown_field_set.h"
#include "gtest/gtest.h"
#include "server/version.h"

namespace attend {
namespace {

using google::protobuf::UnknownField;
using testing::ElementsAre;
using testing::Pair;

// The example of W3C Trace Context, section 3.2.
constexpr char kSampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

// A field of a message, whatever its type: `number` of a varint or a fixed one, or else `bytes`.
struct Field {
  uint64_t number = 0;
  std::string bytes;
};

// By field number.
using Fields = std::multimap<int, Field>;

Fields ParseFields(const std::string& message) {
  google::protobuf::UnknownFieldSet set;
  EXPECT_TRUE(set.ParseFromString(message));
  Fields fields;
  for (int i = 0; i < set.field_count(); ++i) {
    const UnknownField& field = set.field(i);
    Field copy;
    switch (field.type()) {
      case UnknownField::TYPE_VARINT:
        copy.number = field.varint();
        break;
      case UnknownField::TYPE_FIXED32:
        copy.number = field.fixed32();
        break;
      case UnknownField::TYPE_FIXED64:
        copy.number = field.fixed64();
        break;
      default:
        copy.bytes = field.length_delimited();
    }
    fields.emplace(field.number(), copy);
  }
  return fields;
}

// The field that the message has once.
Field OneField(const Fields& message, int number) {
  EXPECT_EQ(message.count(number), 1u) << number;
  const auto found = message.find(number);
  return found == message.end() ? Field() : found->second;
}

// KeyValue of common.proto: key 1, value 2, which is a text 1, an integer 3 or a double 4.
std::map<std::string, std::string> ReadAttributes(const Fields& message, int number) {
  std::map<std::string, std::string> attributes;
  const auto [first, last] = message.equal_range(number);
  for (auto each = first; each != last; ++each) {
    const Fields pair = ParseFields(each->second.bytes);
    const std::string key = OneField(pair, 1).bytes;
    const Fields any = ParseFields(OneField(pair, 2).bytes);
    EXPECT_EQ(any.size(), 1u) << key;
    const auto& [type, value] = *any.begin();
    attributes[key] = type == 1   ? value.bytes
                      : type == 3 ? std::to_string(static_cast<int64_t>(value.number))
                      : type == 4 ? std::to_string(std::bit_cast<double>(value.number))
                                  : "(another type)";
  }
  return attributes;
}

TEST(SpanTest, AsksTheLastBitOfTheFlagsWhetherARequestIsSampled) {
  const std::string start = std::string(kSampled).substr(0, 53);
  for (const char* flags : {"01", "03", "ff", "0b", "a1"}) EXPECT_TRUE(IsSampled(start + flags));
  for (const char* flags : {"00", "02", "fe", "0a", "0c", "10"}) {
    EXPECT_FALSE(IsSampled(start + flags)) << flags;
  }
  EXPECT_FALSE(IsSampled(""));
}

TEST(SpanTest, MakesIdsOfEightBytesThatDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewSpanId());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) EXPECT_EQ(id.size(), 8u);
}

TEST(SpanTest, HoldsWhatIsKnownOfTheRequest) {
  const RequestDetails details = {.layer = "m/0",
                                  .rows = 4,
                                  .bytes_in = 100,
                                  .bytes_out = 0,
                                  .decode = absl::Microseconds(1500),
                                  .queue = absl::ZeroDuration(),
                                  .compute = absl::Milliseconds(3),
                                  .encode = absl::Milliseconds(4)};
  const absl::Time ended = absl::FromUnixNanos(1'700'000'000'123'456'789);
  const Fields span = ParseFields(EncodeSpan({.service = "attend.v1.AttentionService",
                                              .method = "MultiHeadAttention",
                                              .item = 7,
                                              .code = absl::StatusCode::kDeadlineExceeded,
                                              .reason = "EXPIRED",
                                              .request_id = "id-1",
                                              .traceparent = kSampled,
                                              .caller = "ipv4:10.0.0.1",
                                              .identity = "search",
                                              .duration = absl::Milliseconds(9),
                                              .details = details},
                                             "12345678", ended));
  EXPECT_EQ(absl::BytesToHexString(OneField(span, 1).bytes), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(OneField(span, 2).bytes, "12345678");
  EXPECT_EQ(absl::BytesToHexString(OneField(span, 4).bytes), "00f067aa0ba902b7");
  EXPECT_EQ(OneField(span, 5).bytes, "attend.v1.AttentionService/MultiHeadAttention");
  EXPECT_EQ(OneField(span, 6).number, 2u);  // SERVER
  EXPECT_EQ(OneField(span, 7).number, 1'700'000'000'114'456'789u);
  EXPECT_EQ(OneField(span, 8).number, 1'700'000'000'123'456'789u);
  // The caller's address is not among them.
  EXPECT_THAT(
      ReadAttributes(span, 9),
      ElementsAre(Pair("attend.bytes_in", "100"), Pair("attend.bytes_out", "0"),
                  Pair("attend.compute_ms", "3.000000"), Pair("attend.decode_ms", "1.500000"),
                  Pair("attend.encode_ms", "4.000000"), Pair("attend.identity", "search"),
                  Pair("attend.item", "7"), Pair("attend.layer", "m/0"),
                  Pair("attend.queue_ms", "0.000000"), Pair("attend.reason", "EXPIRED"),
                  Pair("attend.request_id", "id-1"), Pair("attend.rows", "4"),
                  Pair("rpc.grpc.status_code", "4"), Pair("rpc.method", "MultiHeadAttention"),
                  Pair("rpc.service", "attend.v1.AttentionService"), Pair("rpc.system", "grpc")));
  EXPECT_EQ(OneField(ParseFields(OneField(span, 15).bytes), 3).number, 2u);  // ERROR
  // The caller's flags, and that its span is in another process.
  EXPECT_EQ(OneField(span, 16).number, 0x301u);
}

TEST(SpanTest, LeavesOutWhatIsNotKnown) {
  const RequestDetails details;
  const Fields span = ParseFields(EncodeSpan(
      {.code = absl::StatusCode::kUnimplemented, .traceparent = kSampled, .details = details},
      "12345678", absl::UnixEpoch()));
  EXPECT_EQ(OneField(span, 5).bytes, "unknown");
  const std::map<std::string, std::string> attributes = ReadAttributes(span, 9);
  for (const char* key : {"rpc.service", "rpc.method", "attend.reason", "attend.item",
                          "attend.layer", "attend.identity"}) {
    EXPECT_EQ(attributes.count(key), 0u) << key;
  }
}

TEST(SpanTest, MarksErrorsOfTheServerAlone) {
  const std::set<absl::StatusCode> errors = {
      absl::StatusCode::kUnknown,       absl::StatusCode::kDeadlineExceeded,
      absl::StatusCode::kUnimplemented, absl::StatusCode::kInternal,
      absl::StatusCode::kUnavailable,   absl::StatusCode::kDataLoss};
  const RequestDetails details;
  for (int code = 0; code <= 16; ++code) {
    const auto of = static_cast<absl::StatusCode>(code);
    const Fields span = ParseFields(EncodeSpan(
        {.code = of, .traceparent = kSampled, .details = details}, "12345678", absl::UnixEpoch()));
    EXPECT_EQ(span.count(15), errors.count(of)) << code;
  }
}

TEST(SpanTest, PutsSpansOfOneServerIntoARequest) {
  const Fields request = ParseFields(EncodeExportRequest({"\x2a\1a", "\x2a\1b"}));
  ASSERT_EQ(request.size(), 1u);
  const Fields resource_spans = ParseFields(OneField(request, 1).bytes);
  EXPECT_THAT(ReadAttributes(ParseFields(OneField(resource_spans, 1).bytes), 1),
              ElementsAre(Pair("attend.revision", kRevision), Pair("service.name", "attend"),
                          Pair("service.version", kVersion)));
  const Fields scope_spans = ParseFields(OneField(resource_spans, 2).bytes);
  EXPECT_EQ(OneField(ParseFields(OneField(scope_spans, 1).bytes), 1).bytes, "attend");
  std::vector<std::string> names;
  const auto [first, last] = scope_spans.equal_range(2);
  for (auto each = first; each != last; ++each) {
    names.push_back(OneField(ParseFields(each->second.bytes), 5).bytes);
  }
  EXPECT_THAT(names, ElementsAre("a", "b"));
}

}  // namespace
}  // namespace attend
