// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_MODELS_CONFIG_READER_H_
#define ATTEND_CORE_WEIGHTS_MODELS_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/weights/files/json.h"

namespace attend {

// Typed, checked access to an object in config.json. A key whose value is null counts as
// absent, because model classes write absent settings that way. An error is INVALID_ARGUMENT
// and names the file and the key. Borrows the object; thread-safe.
class ConfigReader {
 public:
  // `where` begins every message: the file and, for an inner object, its key.
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  // nullptr if the key is absent.
  const Json* Find(absl::string_view key) const;
  bool Has(absl::string_view key) const { return Find(key) != nullptr; }

  // Whether the object contains the key, even with the value null.
  bool Contains(absl::string_view key) const { return object_.contains(std::string(key)); }

  // An integer from 1 to 2^24, which is far above any model and keeps the product of two sizes
  // far below 2^63. Without a default value, an absent key is an error.
  absl::StatusOr<int64_t> Size(absl::string_view key,
                               std::optional<int64_t> default_value = std::nullopt) const;

  // A finite number above 0. Without a default value, an absent key is an error.
  absl::StatusOr<double> Positive(absl::string_view key,
                                  std::optional<double> default_value = std::nullopt) const;
  absl::StatusOr<bool> Flag(absl::string_view key, bool default_value) const;
  absl::StatusOr<std::string> Text(absl::string_view key, absl::string_view default_value) const;

  // A reader of the object under `key`; an absent key is an error. Borrows as this one does.
  absl::StatusOr<ConfigReader> Object(absl::string_view key) const;

  // An error if the object has a key other than `allowed`.
  absl::Status CheckKeys(std::initializer_list<absl::string_view> allowed) const;

  // INVALID_ARGUMENT with the message `WHERE: WHAT`.
  absl::Status Error(absl::string_view what) const;

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_MODELS_CONFIG_READER_H_
