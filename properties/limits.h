// What the generator may draw: the default space, narrowed by what an engine can do (its hello) or
// a user asked for.
//
// Narrowing happens before a case exists; no case is drawn and then rejected.
#ifndef CROSSCHECK_PROPERTIES_LIMITS_H_
#define CROSSCHECK_PROPERTIES_LIMITS_H_

#include <cstdint>

namespace crosscheck {

struct Limits {
  int max_layers = 6;
  int max_hidden = 44;
  int max_heads = 6;      // attention and linear value heads
  int max_head_dim = 24;  // attention head_dim and linear key and value dims
  int max_vocab = 128;
  int max_intermediate = 52;
  int max_conv_kernel = 5;
  int max_sequences = 4;
  int max_tokens = 200;  // prompt plus generated tokens of one sequence
  int max_generated = 24;
  int max_positions = 512;  // context of a model
  // Estimated multiply-adds of one forward pass over all tokens of a case: bounds the time of the
  // exact model.
  int64_t max_multiply_adds = 25'000'000;
  bool masks = false;            // the engine takes left-padding masks
  bool chunked_prefill = false;  // a prefill in several calls
  bool reduced_storage = true;   // BF16 and F16 checkpoints
  int paths = 3;                 // the first so many of ModelPath
  bool min_p = true;             // the sampler's parameters
  bool logit_bias = true;
  bool sampler_history = true;  // tokens that an explicit draw is penalised for
  bool logprobs = true;         // extras of `generate`
  bool streams = true;
  // One bit for each Family: those to draw, and those of which the head may be the embedding.
  uint32_t families = ~uint32_t{0};
  uint32_t tied_families = ~uint32_t{0};
  int max_experts = 8;

  bool operator==(const Limits&) const = default;
};

// What a case file may hold. Beyond the default space, so that a hand-written case can reach
// further than the generator.
inline constexpr Limits kWidestLimits{
    .max_layers = 64,
    .max_hidden = 1024,
    .max_heads = 64,
    .max_head_dim = 256,
    .max_vocab = 4096,
    .max_intermediate = 4096,
    .max_conv_kernel = 16,
    .max_sequences = 64,
    .max_tokens = 8192,
    .max_generated = 8192,
    .max_positions = 8192,
    .max_multiply_adds = int64_t{1} << 60,
    .masks = true,
    .chunked_prefill = true,
    .reduced_storage = true,
    .max_experts = 256,
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_LIMITS_H_
