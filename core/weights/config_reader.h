#ifndef ATTEND_CORE_WEIGHTS_CONFIG_READER_H_
#define ATTEND_CORE_WEIGHTS_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/weights/json.h"

namespace attend {

// Typed, checked access to an object in config.json. A key that is null counts
// as absent, as model classes write it. An error is INVALID_ARGUMENT and names
// the file and the key. Borrows the object; thread-safe.
class ConfigReader {
 public:
  // `where` opens every message: the file, and the object's own key in it.
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  // nullptr where absent.
  const Json* Find(absl::string_view key) const;
  bool Has(absl::string_view key) const { return Find(key) != nullptr; }

  // Null does not count as absent here.
  bool Says(absl::string_view key) const { return object_.contains(std::string(key)); }

  // 1 to 2^24: far above any model, and keeps products of two sizes far below
  // 2^63. Without `otherwise`, absent is an error.
  absl::StatusOr<int64_t> Size(absl::string_view key,
                               std::optional<int64_t> otherwise = std::nullopt) const;

  // A finite number above 0.
  absl::StatusOr<double> Positive(absl::string_view key,
                                  std::optional<double> otherwise = std::nullopt) const;
  absl::StatusOr<bool> Flag(absl::string_view key, bool otherwise) const;
  absl::StatusOr<std::string> Text(absl::string_view key, absl::string_view otherwise) const;

  // The object under `key`, which is there.
  absl::StatusOr<ConfigReader> Object(absl::string_view key) const;

  // An error if there are other keys than these.
  absl::Status CheckKeys(std::initializer_list<absl::string_view> allowed) const;

  absl::Status Error(absl::string_view what) const;

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_CONFIG_READER_H_
