// Cases that fill every calibration bucket evenly: for `calibrate` and the detection curves.
#ifndef CROSSCHECK_PROPERTIES_BUCKET_DRAWS_H_
#define CROSSCHECK_PROPERTIES_BUCKET_DRAWS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "properties/limits.h"
#include "properties/reference_panel.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {

// One case: the number of the draw, the weight style that replaces the drawn one (it depends on no
// other field), and how many cases its bucket had before.
struct BucketDraw {
  int64_t draw = 0;
  WeightStyle style = WeightStyle::kPlain;
  int64_t rank = 0;
};

// The buckets that a case counts for: its session, or its prefill, whose rows are those of
// `readout` and whose last rows are those of `prompt`. The first is the path to run.
std::vector<ModelPath> BucketPaths(const ModelRunCase& c);

class BucketDraws {
 public:
  // Draws are a function of seed, stream name and limits.
  BucketDraws(uint64_t seed, std::string_view stream, const Limits& limits)
      : seed_(seed), stream_(stream), limits_(limits) {}

  // `per_bucket` cases for each bucket. Gives up on rare buckets after 12,000 draws in a row that
  // none needed.
  std::vector<BucketDraw> Select(int64_t per_bucket) const;
  ModelRunCase Make(const BucketDraw& draw) const;

  // Calls measure(draw, case, panel) for `per_bucket` cases of each bucket, on several threads with
  // a panel each, and `progress(done, all)` after every hundredth, one at a time. The first error
  // ends the work.
  absl::Status ForEach(
      int64_t per_bucket, int threads,
      const std::function<absl::Status(const BucketDraw&, ModelRunCase, ReferencePanel&)>& measure,
      const std::function<void(int64_t done, int64_t all)>& progress) const;

 private:
  uint64_t seed_;
  std::string stream_;
  Limits limits_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_BUCKET_DRAWS_H_
