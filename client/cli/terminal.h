// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_TERMINAL_H_
#define ATTEND_CLIENT_CLI_TERMINAL_H_

// Text for people and for scripts. Much of it comes from the network: messages of errors, names of
// layers, warnings, versions. Its author could otherwise clear the screen, hide or reorder what is
// shown, or forge a line of ours. So commands write text with these functions alone, which escape
// it: Print what it is given, and all of them, once more, whatever they write.

#include <cstdio>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace attend::cli {

// The text with everything replaced that a terminal obeys or does not show: control characters
// (C0, DEL and C1), line and paragraph separators, characters that set the direction of text,
// invisible ones, and bytes that are not UTF-8. Replacements are those of C++ ("\n", "\x1b",
// "\u202e"); other text, which may hold backslashes, stays as it is. One line.
std::string EscapeForTerminal(absl::string_view text);

// Writes text that may have several lines: like EscapeForTerminal, but newlines stay.
void WriteText(std::FILE* stream, absl::string_view text);

namespace internal {

// What a format gets for an argument: text is escaped, all else stays as it is.
template <typename T>
auto Shown(const T& argument) {
  static_assert(!std::is_same_v<T, char>, "a char is printed as a string of one");
  if constexpr (std::is_convertible_v<const T&, absl::string_view>) {
    return EscapeForTerminal(argument);
  } else {
    return argument;
  }
}

template <typename T>
using ShownType = decltype(Shown(std::declval<const T&>()));

}  // namespace internal

// Formats like absl::StrFormat; arguments that are text cannot add lines or control characters.
template <typename... Args>
void AppendText(std::string* text, const absl::FormatSpec<internal::ShownType<Args>...>& format,
                const Args&... arguments) {
  absl::StrAppendFormat(text, format, internal::Shown(arguments)...);
}

template <typename... Args>
void Print(std::FILE* stream, const absl::FormatSpec<internal::ShownType<Args>...>& format,
           const Args&... arguments) {
  WriteText(stream, absl::StrFormat(format, internal::Shown(arguments)...));
}

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_TERMINAL_H_
