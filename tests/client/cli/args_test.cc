// SPDX-License-Identifier: Apache-2.0
#include "client/cli/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attend::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parsed {
  bool flag = false;
  std::string text;
  int64_t number = 7;
  std::optional<float> scale;
  absl::Duration time;
  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
  std::vector<std::string> headers;
  std::vector<std::string> rest;
  bool help = false;
  std::string error;
};

Parsed Parse(const std::vector<std::string>& arguments) {
  Parsed parsed;
  Args args("test", "About.");
  args.Switch("flag", "", &parsed.flag);
  args.Letter('f');
  args.Option("text", "T", "", &parsed.text);
  args.Option("number", "N", "", &parsed.number);
  args.Option("scale", "X", "", &parsed.scale);
  args.Option("time", "T", "", &parsed.time);
  args.Option("numbers", "N,...", "", &parsed.numbers);
  args.Option("texts", "T,...", "", &parsed.texts);
  args.RepeatedOption("header", "H", "", &parsed.headers);
  args.Letter('H');
  auto rest = args.Parse(arguments);
  parsed.help = args.help_asked();
  if (rest.ok()) {
    parsed.rest = *rest;
  } else {
    parsed.error = std::string(rest.status().message());
  }
  return parsed;
}

TEST(ArgsTest, ReadsEveryKind) {
  const Parsed parsed = Parse({"--flag", "a", "--text=x=y", "--number", "-3", "--scale=0.5",
                               "--time=1.5s", "--numbers=1,-2,3", "--texts", "p,q", "--", "--b"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(parsed.flag);
  EXPECT_EQ(parsed.text, "x=y");
  EXPECT_EQ(parsed.number, -3);
  EXPECT_EQ(parsed.scale, 0.5f);
  EXPECT_EQ(parsed.time, absl::Milliseconds(1500));
  EXPECT_THAT(parsed.numbers, ElementsAre(1, -2, 3));
  EXPECT_THAT(parsed.texts, ElementsAre("p", "q"));
  EXPECT_THAT(parsed.rest, ElementsAre("a", "--b"));
}

TEST(ArgsTest, ReadsLettersAndRepeatedOptions) {
  const Parsed parsed =
      Parse({"-f", "-H", "a: b", "-Hc: d", "--header=e=f", "--header", "-g", "-"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(parsed.flag);
  EXPECT_THAT(parsed.headers, ElementsAre("a: b", "c: d", "e=f", "-g"));
  EXPECT_THAT(parsed.rest, ElementsAre("-"));
}

TEST(ArgsTest, KeepsWhatIsNotGiven) {
  const Parsed parsed = Parse({});
  EXPECT_EQ(parsed.number, 7);
  EXPECT_FALSE(parsed.scale.has_value());
}

TEST(ArgsTest, RefusesWhatIsWrongByName) {
  EXPECT_EQ(Parse({"--nothing"}).error, "there is no option --nothing");
  EXPECT_EQ(Parse({"-n"}).error, "there is no option -n");
  EXPECT_EQ(Parse({"-ff"}).error, "-f takes no value");
  EXPECT_EQ(Parse({"-f", "--flag"}).error, "--flag is given twice");
  EXPECT_EQ(Parse({"-H"}).error, "-H needs a value");
  EXPECT_EQ(Parse({"-H", ""}).error, "-H must be text, got \"\"");
  EXPECT_EQ(Parse({"--flag=1"}).error, "--flag takes no value");
  EXPECT_EQ(Parse({"--flag", "--flag"}).error, "--flag is given twice");
  EXPECT_EQ(Parse({"--text"}).error, "--text needs a value");
  EXPECT_EQ(Parse({"--number=1.5"}).error, "--number must be a whole number, got \"1.5\"");
  EXPECT_THAT(Parse({"--number=99999999999999999999"}).error, HasSubstr("--number"));
  EXPECT_THAT(Parse({"--scale=nan"}).error, HasSubstr("--scale must be a number"));
  EXPECT_THAT(Parse({"--time=10"}).error, HasSubstr("--time must be a time"));
  EXPECT_THAT(Parse({"--time=-1s"}).error, HasSubstr("--time"));
  EXPECT_THAT(Parse({"--time=inf"}).error, HasSubstr("--time"));
  EXPECT_THAT(Parse({"--numbers=1,,2"}).error, HasSubstr("--numbers"));
}

TEST(ArgsTest, HelpListsEveryOption) {
  Args args("attend test", "About it.");
  bool flag;
  std::string text;
  args.Section("Group");
  args.Switch("flag", "Do this.", &flag);
  args.Letter('f');
  args.Option("with-a-very-long-name", "TEXT",
              "Long help that does not fit beside its name, and is wrapped.", &text);
  EXPECT_EQ(args.Help(),
            "usage: attend test\n\nAbout it.\n\nGroup:\n"
            "  -f, --flag                  Do this.\n"
            "  --with-a-very-long-name=TEXT\n"
            "                              Long help that does not fit beside its name, and\n"
            "                              is wrapped.\n"
            "  -h, --help                  Print this text.\n");
  EXPECT_TRUE(Parse({"-h"}).help);
}

}  // namespace
}  // namespace attend::cli
