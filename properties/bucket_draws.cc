#include "properties/bucket_draws.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
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

namespace {

struct SharedWork {
  std::atomic<size_t> next = 0;
  std::mutex mutex;  // guards what follows
  absl::Status status;
  int64_t done = 0;
};

}  // namespace

absl::Status BucketDraws::ForEach(
    int64_t per_bucket, int threads,
    const std::function<absl::Status(const BucketDraw&, ModelRunCase, ReferencePanel&)>& measure,
    const std::function<void(int64_t done, int64_t all)>& progress) const {
  const std::vector<BucketDraw> items = Select(per_bucket);
  SharedWork shared;
  const auto work = [&] {
    auto panel = ReferencePanel::Open();
    absl::Status status = panel.status();
    for (size_t i; status.ok() && (i = shared.next.fetch_add(1)) < items.size();) {
      status = measure(items[i], Make(items[i]), **panel);
      if (!status.ok()) {
        status = absl::InternalError(
            absl::StrCat(stream_, " draw ", items[i].draw, ": ", status.message()));
      }
      std::lock_guard lock(shared.mutex);
      if (++shared.done % 100 == 0 && progress) {
        progress(shared.done, static_cast<int64_t>(items.size()));
      }
    }
    std::lock_guard lock(shared.mutex);
    shared.status.Update(status);
    if (!status.ok()) shared.next = items.size();
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < std::max(1, threads); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  return shared.status;
}

}  // namespace crosscheck
