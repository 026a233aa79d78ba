// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_SEEN_TWICE_H_
#define ATTEND_SERVER_SECURITY_SEEN_TWICE_H_

#include <cstdint>
#include <optional>
#include <utility>

namespace attend {

// Tells when a state that is looked at again and again has lasted. A file that is being written is
// wrong for a moment only, and a file that stays wrong is worth one line of the log, not many.
template <class State>
class SeenTwice {
 public:
  // Returns whether this state is seen for the second time in a row.
  bool See(State state) {
    if (!last_ || !(*last_ == state)) {
      last_ = std::move(state);
      times_ = 0;
    }
    return ++times_ == 2;
  }

  // Forgets what was seen.
  void Reset() { last_.reset(); }

 private:
  std::optional<State> last_;
  int64_t times_ = 0;  // in a row
};

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_SEEN_TWICE_H_
