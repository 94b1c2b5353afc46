// Samplers that stand in as engines: complete implementations of one documented order each, with
// random streams of their own.
#ifndef CROSSCHECK_REFERENCE_REFERENCE_SAMPLER_H_
#define CROSSCHECK_REFERENCE_REFERENCE_SAMPLER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "reference/reference_model.h"
#include "reference/sampling_law.h"

namespace crosscheck {

struct DrawRequest {
  std::vector<double> logits;  // [V]
  SamplingParameters parameters;
  std::vector<int32_t> history;  // before the first draw
  std::vector<double> bias;      // [V] or empty
};

class ReferenceSampler {
 public:
  virtual ~ReferenceSampler() = default;
  virtual const SamplingOrder& order() const = 0;
  // The first token of each seed's stream. InvalidArgument: no law follows from the request.
  virtual absl::StatusOr<std::vector<int32_t>> DrawPerSeed(
      const DrawRequest& request, absl::Span<const uint64_t> seeds) const = 0;
  // `draws` tokens of one stream; each joins the history of the next.
  virtual absl::StatusOr<std::vector<int32_t>> DrawStream(const DrawRequest& request, uint64_t seed,
                                                          int64_t draws) const = 0;
  // The token of each uniform in [0,1) by the inverse CDF over decreasing probability.
  virtual absl::StatusOr<std::vector<int32_t>> Invert(const DrawRequest& request,
                                                      absl::Span<const double> uniforms) const = 0;
};

// The exact law (order of lattice) and inverse CDF from a counter-based stream, in fp64.
std::unique_ptr<ReferenceSampler> MakeExactSampler();
// libtorch's own softmax, sort and multinomial (order of Transformers), with its Mersenne twister.
// Loads lib/libcrosscheck_torch.so on first use.
absl::StatusOr<std::unique_ptr<ReferenceSampler>> MakeTorchSampler(TorchPrecision precision);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_REFERENCE_SAMPLER_H_
