// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/config_reader.h"

#include <cmath>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/quoted.h"

namespace attend {

const Json* ConfigReader::Find(absl::string_view key) const {
  const auto found = object_.find(std::string(key));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<int64_t> ConfigReader::Size(absl::string_view key,
                                           std::optional<int64_t> default_value) const {
  constexpr int64_t kMaxSize = int64_t{1} << 24;
  const Json* const found = Find(key);
  const std::optional<int64_t> value = found == nullptr ? default_value : AsInt(*found);
  if (!value.has_value() || *value < 1 || *value > kMaxSize) {
    return Error(absl::StrCat(Quoted(key), " is not an integer from 1 to ", kMaxSize));
  }
  return *value;
}

absl::StatusOr<double> ConfigReader::Positive(absl::string_view key,
                                              std::optional<double> default_value) const {
  const Json* const found = Find(key);
  if (found == nullptr && default_value.has_value()) return *default_value;
  const double value = found != nullptr && found->is_number() ? found->get<double>() : 0.0;
  if (!std::isfinite(value) || value <= 0.0) {
    return Error(absl::StrCat(Quoted(key), " is not a number above 0"));
  }
  return value;
}

absl::StatusOr<bool> ConfigReader::Flag(absl::string_view key, bool default_value) const {
  const Json* const found = Find(key);
  if (found == nullptr) return default_value;
  if (!found->is_boolean()) return Error(absl::StrCat(Quoted(key), " is not true or false"));
  return found->get<bool>();
}

absl::StatusOr<std::string> ConfigReader::Text(absl::string_view key,
                                               absl::string_view default_value) const {
  const Json* const found = Find(key);
  if (found == nullptr) return std::string(default_value);
  if (!found->is_string()) return Error(absl::StrCat(Quoted(key), " is not a string"));
  return found->get_ref<const std::string&>();
}

absl::StatusOr<ConfigReader> ConfigReader::Object(absl::string_view key) const {
  const Json* const found = Find(key);
  if (found == nullptr || !found->is_object()) {
    return Error(absl::StrCat(Quoted(key), " is not an object"));
  }
  return ConfigReader(*found, absl::StrCat(where_, ": ", Quoted(key)));
}

absl::Status ConfigReader::CheckKeys(std::initializer_list<absl::string_view> allowed) const {
  for (const auto& item : object_.items()) {
    if (!item.value().is_null() && !absl::c_linear_search(allowed, item.key())) {
      return Error(absl::StrCat("key ", Quoted(item.key()),
                                " is not known here; the known keys are ",
                                absl::StrJoin(allowed, ", ")));
    }
  }
  return absl::OkStatus();
}

absl::Status ConfigReader::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(where_, ": ", what));
}

}  // namespace attend
