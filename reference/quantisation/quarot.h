// QuaRot: the residual stream of a model turned by an orthonormal matrix that the weights absorb.
//
// R = H D, D a diagonal of signs from a seed, H the orthonormal Walsh-Hadamard matrix (lattice
// `quant/quarot/hadamard.rs`). Norm weights are first fused into the matrices that read the norm's
// output, then matrices that read the stream become W Rᵀ, and those that write to it R W. The
// stream h becomes R h, logits stay what they were. Mixing spreads outlier channels over all
// channels.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_QUAROT_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_QUAROT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "reference/weights.h"

namespace crosscheck {

class RandomizedHadamard {
 public:
  // An error names a size that is no power of two.
  static absl::StatusOr<RandomizedHadamard> Create(uint64_t seed, int64_t size);

  // x <- R x and x <- Rᵀ x, in fp64; x has `size` elements.
  void Apply(absl::Span<double> vector) const;
  void ApplyInverse(absl::Span<double> vector) const;

  absl::Span<const double> signs() const { return signs_; }  // the diagonal of D

 private:
  explicit RandomizedHadamard(std::vector<double> signs) : signs_(std::move(signs)) {}
  std::vector<double> signs_;
};

// Fuses the norms and rotates, in fp64 with one rounding to float32 at the end. The model is untied
// and its norms that read the stream become 1; its storage becomes F32. q_norm, k_norm, the norm of
// the delta rule, convolution, A_log and dt_bias stay. An error names a hidden size that is no
// power of two.
absl::Status FuseQuarot(uint64_t seed, Model& model);

// Gives a tied model a head of its own, the same values.
void Untie(Model& model);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_QUAROT_H_
