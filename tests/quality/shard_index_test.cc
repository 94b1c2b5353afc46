#include "quality/shard_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "quality/dump.h"
#include "reference/checkpoint.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"
#include "tests/small_spec.h"

namespace crosscheck::quality {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ShardIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    ModelRecipe recipe{.spec = SmallSpec(), .weights = {}};
    recipe.weights = {3, WeightStyle::kPlain, DType::kF32};
    const absl::Status status = WriteCheckpoint(GenerateModel(recipe), folder_, {2});
    ASSERT_TRUE(status.ok()) << status;
    index_ = Json::parse(*ReadFile(path_));
  }
  std::string Error() {
    EXPECT_TRUE(WriteFile(path_, index_.dump()).ok());
    const auto identity = ModelIdentity(folder_);
    return identity.ok() ? "accepted" : std::string(identity.status().message());
  }
  const OwnFolder own_;
  const std::string folder_ = own_.path() + "/model";
  const std::string path_ = folder_ + "/model.safetensors.index.json";
  Json index_;
};

TEST_F(ShardIndexTest, WhatTheIndexSaysIsThere) {
  EXPECT_EQ(Error(), "accepted");
  index_["metadata"]["total_size"] = 1;
  index_["weight_map"].erase(index_["weight_map"].begin());
  EXPECT_EQ(Error(), "accepted");  // less than everything is no contradiction
}

TEST_F(ShardIndexTest, ATensorInAnotherShardIsNamedWithBoth) {
  const std::string first = "model-00001-of-00002.safetensors",
                    second = "model-00002-of-00002.safetensors";
  auto entry = index_["weight_map"].begin();
  const std::string tensor = entry.key(), right = entry->get<std::string>(),
                    wrong = right == first ? second : first;
  *entry = wrong;
  EXPECT_THAT(Error(), AllOf(HasSubstr("index.json: " + tensor + " is said to be in " + wrong),
                             HasSubstr("it is in " + right)));
}

TEST_F(ShardIndexTest, ATensorThatNoShardHas) {
  index_["weight_map"]["model.extra"] = "model-00001-of-00002.safetensors";
  EXPECT_THAT(Error(), AllOf(HasSubstr("model.extra"), HasSubstr("no shard has it")));
}

TEST_F(ShardIndexTest, WhatEveryReaderRefusesIsLeftToTheReader) {
  EXPECT_TRUE(WriteFile(folder_ + "/model-00001-of-00002.safetensors", "short").ok());
  EXPECT_TRUE(CheckShardIndex(folder_).ok());
  EXPECT_TRUE(WriteFile(path_, "{\"weight_map\": [1]}").ok());
  EXPECT_TRUE(CheckShardIndex(folder_).ok());
  EXPECT_TRUE(WriteFile(path_, "[").ok());
  EXPECT_TRUE(CheckShardIndex(folder_).ok());
  EXPECT_TRUE(CheckShardIndex(folder_ + "/nowhere").ok());
}

}  // namespace
}  // namespace crosscheck::quality
