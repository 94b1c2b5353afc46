// Cases in the architecture of a checkpoint, and the count of narrowed fields.
#include "properties/visitors/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/subjects/model_run.h"
#include "properties/visitors/ranges.h"

namespace crosscheck {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Pair;

// The shape of a released checkpoint: far beyond the limits.
ModelSpec Released() {
  ModelSpec spec;
  for (int i = 0; i < 24; ++i) {
    spec.layers.push_back(i % 4 == 3 ? LayerKind::kFullAttention : LayerKind::kLinearAttention);
  }
  spec.vocab = 248320;
  spec.hidden = 1024;
  spec.intermediate = 3584;
  spec.heads = 8;
  spec.kv_heads = 2;
  spec.head_dim = 256;
  spec.rotary_dim = 64;
  spec.linear_key_heads = 16;
  spec.linear_value_heads = 32;
  spec.linear_key_dim = 128;
  spec.linear_value_dim = 128;
  spec.tied = true;
  spec.rope_theta = 9e6;
  spec.max_positions = 262144;
  return spec;
}

TEST(ArchitectureTest, EveryCaseHasTheRatiosAndIsLegal) {
  const ModelSpec like = Released();
  const Limits limits;
  const Subject& subject = ModelRunSubject();
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Stream stream(seed, "architecture_test");
    const Case drawn = subject.random(stream, limits);
    const Case c = WithArchitecture(drawn, like, limits);
    EXPECT_TRUE(subject.equal(c, WithArchitecture(drawn, like, limits)));
    EXPECT_TRUE(subject.equal(c, subject.clamp(c, limits)));
    const ModelSpec& spec = c.As<ModelRunCase>().model->spec;
    EXPECT_TRUE(Validate(spec).ok());
    EXPECT_EQ(spec.heads, 4 * spec.kv_heads);
    EXPECT_EQ(spec.linear_value_heads, 2 * spec.linear_key_heads);
    EXPECT_NEAR(spec.head_dim, spec.hidden / 4.0, 1);
    EXPECT_EQ(spec.linear_key_dim, spec.linear_value_dim);
    EXPECT_EQ(spec.conv_kernel, 4);
    EXPECT_TRUE(spec.tied);
    EXPECT_EQ(spec.rope_theta, 1e7);
    ASSERT_GE(spec.layers.size(), 4u);
    for (size_t i = 0; i < spec.layers.size(); ++i) EXPECT_EQ(spec.layers[i], like.layers[i]);
  }
}

TEST(ArchitectureTest, DescribesWhatIsKept) {
  const auto lines = DescribeArchitecture(Released());
  EXPECT_THAT(lines, Contains(Pair("heads:kv_heads", "4:1")));
  EXPECT_THAT(lines, Contains(Pair("layers", "linear linear linear full")));
}

TEST(RangesTest, CountsTheFieldsThatAnEngineNarrows) {
  Stream stream(7, "ranges_test");
  Limits open = kEverythingServed;
  const Case c = ModelRunSubject().random(stream, Limits{});
  EXPECT_THAT(NarrowedFields(c, open, open), IsEmpty());
  Limits narrow = open;
  narrow.reduced_storage = false;
  EXPECT_THAT(NarrowedFields(c, narrow, open), testing::ElementsAre("storage"));
}

TEST(RangesTest, OnlyCasesWhereTheFieldHadRoomCount) {
  Limits narrow = kEverythingServed;
  narrow.chunked_prefill = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Stream stream(seed, "ranges_test");
    const Case c = ModelRunSubject().random(stream, narrow);
    const bool session = c.As<ModelRunCase>().path == ModelPath::kSession;
    EXPECT_EQ(NarrowedFields(c, narrow, kEverythingServed).empty(), !session) << seed;
  }
}

}  // namespace
}  // namespace crosscheck
