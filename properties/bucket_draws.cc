#include "properties/bucket_draws.h"

#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "properties/judges/tolerance.h"

namespace crosscheck {

std::vector<ModelPath> BucketPaths(const ModelRunCase& c) {
  if (c.path == ModelPath::kSession) return {ModelPath::kSession};
  return {ModelPath::kReadout, ModelPath::kPrompt};
}

ModelRunCase BucketDraws::Make(const BucketDraw& draw) const {
  Stream stream(MixBits(seed_) + static_cast<uint64_t>(draw.draw), stream_);
  ModelRunCase c = ModelRunSubject().random(stream, limits_).As<ModelRunCase>();
  auto model = std::make_shared<ModelRecipe>(*c.model);
  model->weights.style = draw.style;
  c.model = std::move(model);
  return c;
}

std::vector<BucketDraw> BucketDraws::Select(int64_t per_bucket) const {
  constexpr int64_t kIdleDraws = 12'000;
  constexpr int kStyles = static_cast<int>(std::size(kWeightStyleNames));
  std::map<BucketKey, int64_t> count;
  std::vector<BucketDraw> selected;
  int64_t idle = 0;
  for (BucketDraw next; idle < kIdleDraws; ++next.draw, ++idle) {
    ModelRunCase c = Make(next);
    BucketKey key = BucketOf(c, BucketPaths(c).front());
    int64_t fewest = per_bucket;
    WeightStyle style = WeightStyle::kPlain;
    for (int s = 0; s < kStyles; ++s) {
      key.style = static_cast<WeightStyle>(s);
      if (count[key] >= fewest) continue;
      fewest = count[key];
      style = key.style;
    }
    if (fewest == per_bucket) continue;
    key.style = style;
    ++count[key];
    selected.push_back({next.draw, style, fewest});
    idle = -1;
  }
  return selected;
}

}  // namespace crosscheck
