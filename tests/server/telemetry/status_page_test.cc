// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/status_page.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(StatusPageTest, EscapesWhatHtmlGivesAMeaning) {
  EXPECT_EQ(EscapeHtml("a<b>&\"c\"'d'"), "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;");
  StatusInfo info;
  const std::string attack = "<script>alert(1)</script>";
  info.version = info.revision = info.compiler = attack;
  info.layers = {{attack, "1", "2", "3", "f32"}};
  info.settings = {{attack, attack}};
  EXPECT_THAT(MakeStatusPage(info), Not(HasSubstr(attack)));
}

TEST(StatusPageTest, TellsBuildLayersAndSettings) {
  const std::string page = MakeStatusPage(
      {"1.2.3", "c0ffee", "gcc", {{"m/0", "768", "12", "4", "bf16"}}, {{"workers", "2"}}});
  EXPECT_THAT(page, HasSubstr("<h1>attend 1.2.3</h1>"));
  EXPECT_THAT(page, HasSubstr("<p>revision c0ffee, built by gcc;"));
  EXPECT_THAT(page, HasSubstr("1 layer<"));
  EXPECT_THAT(page, HasSubstr("<td>m/0</td><td>768</td><td>12</td><td>4</td><td>bf16</td>"));
  EXPECT_THAT(page, HasSubstr("<td>workers</td><td>2</td>"));
}

// The policy in the headers would stop it, but nothing should ask.
TEST(StatusPageTest, AsksForNothingOutsideTheServer) {
  const std::string page = MakeStatusPage({});
  for (const char* outside : {"http:", "https:", "//cdn", " src=", "@import", "url(", "<form"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

}  // namespace
}  // namespace attend
