// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_NATURAL_ORDER_H_
#define ATTEND_CORE_BASE_NATURAL_ORDER_H_

#include "absl/strings/string_view.h"

namespace attend {

// Orders names as people count: "m/2" before "m/10". Runs of digits compare as numbers of any
// length, all other characters by their bytes. Names that are equal in this way, such as "m/1" and
// "m/01", compare by their bytes, so that only equal names are equivalent. A comparator for ordered
// containers, which may then be searched by string_view. Thread-safe.
struct NaturalOrder {
  using is_transparent = void;
  bool operator()(absl::string_view a, absl::string_view b) const;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_NATURAL_ORDER_H_
