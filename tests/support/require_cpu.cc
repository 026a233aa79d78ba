// SPDX-License-Identifier: Apache-2.0

// require_cpu FEATURE PROGRAM [ARGUMENT...]: becomes the program if GetCpuFeatures() has the
// feature, or for "none"; otherwise prints that the feature is missing and ends with 77, which
// ctest takes for skipped.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/simd/cpu.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: require_cpu FEATURE PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  const std::string feature = argv[1];
  const std::vector<std::string> names = attend::CpuFeatureNames();
  if (feature != "none" && std::find(names.begin(), names.end(), feature) == names.end()) {
    std::printf("skipped: this machine, or what it allows, has no %s\n", argv[1]);
    return 77;
  }
  execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 1;
}
