// libtorch's own sampling: its softmax, stable sort, multinomial and generator.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "reference/torch/factory.h"
#include "reference/torch/guarded.h"
#include "reference/torch/torch_headers.h"

namespace crosscheck::torch_reference {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

at::Tensor Softmax(const at::Tensor& scores) { return at::_softmax(scores, 0, false); }

void Penalise(at::Tensor& scores, const DrawRequest& request) {
  std::vector<int64_t> ids;
  for (const int32_t id : request.history) {
    if (id >= 0 && id < scores.size(0)) ids.push_back(id);
  }
  const double penalty = request.parameters.repetition_penalty;
  if (penalty == 1 || ids.empty()) return;
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const at::Tensor index =
      at::from_blob(ids.data(), {static_cast<int64_t>(ids.size())}, at::kLong).clone();
  const at::Tensor old = scores.index_select(0, index);
  scores = scores.index_copy(0, index, at::where(old.lt(0), old.mul(penalty), old.div(penalty)));
}

void KeepTopP(at::Tensor& scores, double top_p) {
  const auto [sorted, index] = at::sort(scores, /*stable=*/true, 0, /*descending=*/true);
  const at::Tensor p = Softmax(sorted);
  const at::Tensor before = at::cumsum(p, 0).sub(p);
  at::Tensor removed = before.ge(top_p);
  removed.narrow(0, 0, 1).fill_(false);  // at least one token is kept
  scores = scores.index_copy(0, index, sorted.masked_fill(removed, kNever));
}

// Probabilities of the next token, unless a temperature of 0 asks for the largest logit.
at::Tensor Probabilities(const DrawRequest& request, at::ScalarType dtype, bool& greedy) {
  const auto from = [dtype](const std::vector<double>& values) {
    // from_blob does not write.
    return at::from_blob(const_cast<double*>(values.data()), {static_cast<int64_t>(values.size())},
                         at::kDouble)
        .to(dtype)
        .clone();
  };
  const SamplingParameters& parameters = request.parameters;
  at::Tensor scores = from(request.logits);
  if (!request.bias.empty()) scores = scores.add(from(request.bias));
  Penalise(scores, request);
  greedy = parameters.temperature == 0;
  if (greedy) return scores;
  // Centred, so that no quotient overflows upwards.
  scores = scores.sub(scores.max()).div(parameters.temperature);
  if (parameters.top_k > 0) {
    const int64_t k = std::min<int64_t>(parameters.top_k, scores.size(0));
    const at::Tensor least = std::get<0>(at::topk(scores, k))[k - 1];
    scores = scores.masked_fill(scores.lt(least), kNever);
  }
  if (parameters.top_p < 1) KeepTopP(scores, parameters.top_p);
  at::Tensor p = Softmax(scores);
  if (parameters.min_p > 0) {
    p = Softmax(scores.masked_fill(p.lt(p.max().mul(parameters.min_p)), kNever));
  }
  return p;
}

std::vector<int32_t> Tokens(const at::Tensor& indices) {
  const at::Tensor flat = indices.contiguous();
  const int64_t* data = flat.data_ptr<int64_t>();
  return {data, data + flat.numel()};
}

class TorchSampler : public ReferenceSampler {
 public:
  explicit TorchSampler(at::ScalarType dtype) : dtype_(dtype) {}
  const SamplingOrder& order() const override { return kHuggingFaceOrder; }

  absl::StatusOr<std::vector<int32_t>> DrawPerSeed(
      const DrawRequest& request, absl::Span<const uint64_t> seeds) const override {
    return Guarded([&] {
      bool greedy = false;
      const at::Tensor p = Probabilities(request, dtype_, greedy);
      std::vector<int32_t> tokens;
      tokens.reserve(seeds.size());
      for (const uint64_t seed : seeds) tokens.push_back(DrawOne(p, greedy, Generator(seed)));
      return tokens;
    });
  }

  absl::StatusOr<std::vector<int32_t>> DrawStream(const DrawRequest& request, uint64_t seed,
                                                  int64_t draws) const override {
    return Guarded([&] {
      const at::Generator generator = Generator(seed);
      DrawRequest now = request;
      bool greedy = false;
      at::Tensor p = Probabilities(now, dtype_, greedy);
      const bool constant = request.parameters.repetition_penalty == 1;
      if (constant && !greedy && draws > 0) {
        return Tokens(at::multinomial(p, draws, /*replacement=*/true, generator));
      }
      std::vector<int32_t> tokens;
      for (int64_t t = 0; t < draws; ++t) {
        const int32_t token = DrawOne(p, greedy, generator);
        tokens.push_back(token);
        const auto& seen = now.history;
        if (constant || std::find(seen.begin(), seen.end(), token) != seen.end()) continue;
        now.history.push_back(token);
        p = Probabilities(now, dtype_, greedy);
      }
      return tokens;
    });
  }

  absl::StatusOr<std::vector<int32_t>> Invert(const DrawRequest& request,
                                              absl::Span<const double> uniforms) const override {
    return Guarded([&] {
      bool greedy = false;
      const at::Tensor p = Probabilities(request, dtype_, greedy);
      if (greedy) {
        return std::vector<int32_t>(uniforms.size(), DrawOne(p, true, Generator(0)));
      }
      const auto [sorted, index] = at::sort(p, /*stable=*/true, 0, /*descending=*/true);
      const at::Tensor mass = at::cumsum(sorted, 0).to(at::kDouble).contiguous();
      const std::vector<int32_t> tokens = Tokens(index);
      const int64_t possible = sorted.count_nonzero().item<int64_t>();
      const double* begin = mass.data_ptr<double>();
      std::vector<int32_t> drawn;
      for (const double u : uniforms) {
        const int64_t at = std::upper_bound(begin, begin + possible, u) - begin;
        drawn.push_back(tokens[static_cast<size_t>(std::min(at, possible - 1))]);
      }
      return drawn;
    });
  }

 private:
  static at::Generator Generator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

  static int32_t DrawOne(const at::Tensor& p, bool greedy, const at::Generator& generator) {
    const at::Tensor drawn = greedy ? at::argmax(p) : at::multinomial(p, 1, false, generator);
    return static_cast<int32_t>(drawn.item<int64_t>());
  }

  const at::ScalarType dtype_;
};

}  // namespace
}  // namespace crosscheck::torch_reference

void crosscheck_make_torch_sampler(crosscheck::TorchPrecision precision,
                                   crosscheck::TorchSamplerResult* result) {
  using crosscheck::torch_reference::TorchSampler;
  crosscheck::torch_reference::PrepareProcess();
  const bool wide = precision == crosscheck::TorchPrecision::kFp64;
  *result = std::make_unique<TorchSampler>(wide ? at::kDouble : at::kFloat);
}
