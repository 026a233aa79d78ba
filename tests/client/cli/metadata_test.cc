// SPDX-License-Identifier: Apache-2.0
#include "client/cli/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attend::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

struct Parsed {
  client::Metadata metadata;
  std::string request_id;
  std::string error;
};

Parsed Parse(const std::vector<std::string>& headers) {
  Parsed parsed;
  parsed.error = std::string(ParseHeaders(headers, &parsed.metadata, &parsed.request_id).message());
  return parsed;
}

TEST(MetadataTest, ReadsNamesAndValues) {
  const Parsed parsed = Parse({"a: b", "a:c:d ", "x_1-2.3 :  two words", "empty:"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_THAT(parsed.metadata, ElementsAre(Pair("a", "b"), Pair("a", "c:d"),
                                           Pair("x_1-2.3", "two words"), Pair("empty", "")));
}

TEST(MetadataTest, ABinValueIsBase64WithOrWithoutPadding) {
  EXPECT_THAT(Parse({"t-bin: AP8K"}).metadata,
              ElementsAre(Pair("t-bin", std::string("\0\xff\n", 3))));
  EXPECT_THAT(Parse({"t-bin: /w=="}).metadata, ElementsAre(Pair("t-bin", "\xff")));
  EXPECT_THAT(Parse({"t-bin: /w"}).metadata, ElementsAre(Pair("t-bin", "\xff")));
  EXPECT_THAT(Parse({"t-bin: no!"}).error, HasSubstr("the value of \"t-bin\" must be base64"));
}

TEST(MetadataTest, TheRequestIdIsACallOption) {
  const Parsed parsed = Parse({"x-request-id: abc"});
  EXPECT_EQ(parsed.request_id, "abc");
  EXPECT_TRUE(parsed.metadata.empty());
  EXPECT_THAT(Parse({"x-request-id: a", "x-request-id: b"}).error, HasSubstr("given twice"));
  EXPECT_THAT(Parse({"x-request-id: " + std::string(129, 'a')}).error, HasSubstr("1 to 128"));
}

TEST(MetadataTest, RefusesWhatGrpcWouldNotSend) {
  EXPECT_THAT(Parse({"novalue"}).error, HasSubstr("must be \"name: value\", got \"novalue\""));
  EXPECT_THAT(Parse({": v"}).error, HasSubstr("must consist of a-z"));
  EXPECT_THAT(Parse({"a b: v"}).error, HasSubstr("must consist of a-z"));
  EXPECT_THAT(Parse({"\xc3\xbc: v"}).error, HasSubstr("must consist of a-z"));
  EXPECT_THAT(Parse({"X-Tenant: v"}).error, HasSubstr("must be in lower case: \"x-tenant\""));
  EXPECT_THAT(Parse({"grpc-timeout: 1S"}).error, HasSubstr("reserved"));
  EXPECT_THAT(Parse({"Grpc-Timeout: 1S"}).error, HasSubstr("lower case"));
  for (const char* name : {"te", "host", "user-agent", "content-type"}) {
    EXPECT_THAT(Parse({std::string(name) + ": v"}).error, HasSubstr("reserved: gRPC sets it"));
  }
  EXPECT_THAT(Parse({"a: \xc3\xbc"}).error, HasSubstr("must be printable ASCII"));
  EXPECT_THAT(Parse({"a: b\x1b"}).error, HasSubstr("must be printable ASCII"));
}

}  // namespace
}  // namespace attend::cli
