// One side of a comparison: an engine with one model loaded, and what it is asked about token ids.
//
// References run in this process, every other engine in its own (engines/host_client.h), so that a
// crash is an error status and not an end.
//
// Example:
//   auto side = Side::Open({.engine = "lattice", .model = "seeds/checkpoints/tiny-qwen35"});
//   for (const Block& block : (*side)->Blocks(first, ids.size()))
//     auto rows = (*side)->Rows(ids, block, Evaluation::kPrefill);
#ifndef CROSSCHECK_QUALITY_SIDE_H_
#define CROSSCHECK_QUALITY_SIDE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engines/engine.h"
#include "engines/host_client.h"
#include "properties/judges/greedy.h"
#include "quality/tokenizer.h"
#include "reference/tensor.h"

namespace crosscheck::quality {

struct SideOptions {
  std::string engine;        // a name of the registry, or a command line
  std::string model;         // checkpoint folder
  std::string format = {};   // load option: the engine serves the checkpoint in it; "": as stored
  std::string adapter = {};  // folder in PEFT's format
  double deadline_seconds = 600;    // for each message
  uint64_t memory_limit_bytes = 0;  // address space of the engine's process; 0: none
};

// How the positions of one sequence are evaluated.
enum class Evaluation {
  kPrefill,  // one call answers all positions, where the answer fits a message; else as kDecode
  kDecode,   // one prefill up to the first position asked for, then token by token
  kSteps     // token by token from the first token of the sequence
};

// Positions [first, last) of a sequence; position t predicts token t + 1.
struct Block {
  int first = 0, last = 0;
  int rows() const { return last - first; }
};

// Logits of a block, row-major [rows, vocab]; `f64` is empty when the engine answers in float32.
struct Rows {
  int first = 0, vocab = 0;
  std::vector<float> f32;
  std::vector<double> f64;
  int rows() const { return vocab == 0 ? 0 : static_cast<int>(f32.size()) / vocab; }
  absl::Span<const float> row(int i) const {
    return absl::MakeConstSpan(f32).subspan(static_cast<size_t>(i) * vocab, vocab);
  }
  absl::Span<const double> exact_row(int i) const {
    return absl::MakeConstSpan(f64).subspan(static_cast<size_t>(i) * vocab, vocab);
  }
};

class Side {
 public:
  // Errors name the engine and what it said.
  static absl::StatusOr<std::unique_ptr<Side>> Open(const SideOptions& options);

  // The blocks in which positions [first, last) are asked for. It depends on the vocabulary alone,
  // so two sides of one comparison have the same: at most 60 MiB of fp64 logits each.
  std::vector<Block> Blocks(int first, int last) const;
  // Unimplemented: the engine has no logits on this path. Aborted: it died, hung or lied.
  absl::StatusOr<Rows> LogitRows(absl::Span<const int32_t> ids, const Block& block,
                                 Evaluation evaluation);
  // Temperature 0: greedy. Ends at the model's end-of-sequence id. `text`, where it is known, is
  // for engines that take a prompt as text; OutOfRange: their tokenizer makes other ids of it.
  absl::StatusOr<Generated> Generate(absl::Span<const int32_t> ids, std::string_view text,
                                     int max_tokens, double temperature = 0, uint64_t seed = 0);
  // `draws` tokens of one stream of the engine's sampler from these logits, no filter, no penalty.
  // Unimplemented: it shows no sampler.
  absl::StatusOr<std::vector<int32_t>> Draw(absl::Span<const float> logits, double temperature,
                                            uint64_t seed, int draws);
  // Intermediate values of one pass over ids, in the names of docs/localisation.md; `stages` empty:
  // all that the engine has.
  absl::StatusOr<std::vector<Tensor>> Taps(absl::Span<const int32_t> ids);

  // Ids by the engine's own tokenizer on the model's tokenizer.json. Unimplemented: it shows none,
  // or not with these options.
  absl::StatusOr<std::vector<std::vector<int32_t>>> Encode(absl::Span<const std::string> texts,
                                                           EncodeOptions options);

  int vocab() const { return vocab_; }
  int context() const { return context_; }
  const SideOptions& options() const { return options_; }
  const Json& hello() const { return hello_; }
  const Json& echo() const { return echo_; }   // every effective option, as the engine says
  double seconds() const { return seconds_; }  // spent in calls
  pid_t process() const;                       // of the engine; 0: this one

 private:
  Side(SideOptions options, std::unique_ptr<Engine> engine)
      : options_(std::move(options)), engine_(std::move(engine)) {}
  absl::Status Load();
  absl::StatusOr<Message> Call(Json head, std::vector<Tensor> tensors = {});
  bool HasPath(std::string_view path) const;

  SideOptions options_;
  std::unique_ptr<Engine> engine_;
  const HostClient* host_ = nullptr;  // engine_, where it has a process of its own
  Json hello_, echo_, paths_, model_;
  std::string tokenizer_;  // name of the engine's, once loaded
  int vocab_ = 0, context_ = 0;
  double seconds_ = 0;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_SIDE_H_
