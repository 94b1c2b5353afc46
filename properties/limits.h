// What the generator may draw: the default space, narrowed by what an engine can do (its hello) or a user asked for.
//
// Narrowing happens before a case exists; no case is drawn and then rejected.
#ifndef CROSSCHECK_PROPERTIES_LIMITS_H_
#define CROSSCHECK_PROPERTIES_LIMITS_H_

namespace crosscheck {

struct Limits {
  int max_layers = 6;
  int max_hidden = 44;
  int max_heads = 6;             // attention and linear value heads
  int max_head_dim = 24;         // attention head_dim and linear key and value dims
  int max_vocab = 128;
  int max_intermediate = 52;
  int max_sequences = 4;
  int max_tokens = 200;          // prompt plus generated tokens of one sequence
  int max_generated = 24;
  bool masks = false;            // the engine takes left-padding masks
  bool chunked_prefill = false;  // a prefill in several calls
  bool reduced_storage = true;   // BF16 and F16 checkpoints

  bool operator==(const Limits&) const = default;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_LIMITS_H_
