// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/layer_reloader.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/lifecycle/load_layers.h"

namespace attend {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

class LayerReloaderTest : public testing::Test {
 protected:
  LayerReloaderTest() {
    ModelSpec spec;
    spec.name = "m";
    spec.path = ATTEND_FAMILY_GOLDENS "/qwen2";
    config_.models.push_back(spec);
    EXPECT_TRUE(LoadLayers(config_, registry_).ok());
    for (const auto& [name, entry] : registry_.layers()) names_.push_back(name);
  }

  // Reloads once, and returns the layers that were tried until the first failed or all were.
  std::vector<std::string> Reload(const absl::Status& outcome) {
    std::vector<std::string> tried;
    absl::Notification last;
    {
      LayerReloader reloader(config_, registry_, metrics_, [&](const Layer& layer) {
        tried.push_back(layer.config().name);
        EXPECT_NE(registry_.Find(tried.back()).get(), &layer) << "it is in service already";
        if (!outcome.ok() || tried.size() == names_.size()) last.Notify();
        return outcome;
      });
      reloader.Reload();
      last.WaitForNotification();
    }
    return tried;
  }

  LayersConfig config_;
  LayerRegistry registry_;
  Metrics metrics_;
  std::vector<std::string> names_;
};

TEST_F(LayerReloaderTest, TriesEachLayerBeforeItReplacesAny) {
  ASSERT_FALSE(names_.empty());
  EXPECT_THAT(Reload(absl::OkStatus()), ElementsAreArray(names_));
  for (const auto& [name, entry] : registry_.layers()) EXPECT_EQ(entry.generation, 2) << name;
  EXPECT_THAT(metrics_.Text(), HasSubstr("attend_reloads_total{result=\"ok\"} 1\n"));
}

TEST_F(LayerReloaderTest, KeepsTheLayersInServiceIfANewOneFails) {
  Reload(absl::InternalError("no such instruction"));
  for (const auto& [name, entry] : registry_.layers()) EXPECT_EQ(entry.generation, 1) << name;
  EXPECT_THAT(metrics_.Text(), HasSubstr("attend_reloads_total{result=\"refused\"} 1\n"));
}

}  // namespace
}  // namespace attend
