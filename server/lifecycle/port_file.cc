// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/port_file.h"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace attend {

absl::Status WritePortFile(const std::string& path, const std::vector<std::string>& grpc,
                           const std::string& metrics) {
  const nlohmann::json addresses = {{"grpc", grpc}, {"metrics", metrics}};
  const std::string temporary = absl::StrCat(path, ".new");
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file << addresses.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    if (!file.flush()) {
      return absl::UnavailableError(absl::StrCat("--port-file: cannot write ", temporary));
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("--port-file: cannot write ", path));
  }
  return absl::OkStatus();
}

}  // namespace attend
