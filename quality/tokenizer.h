// The tokenizer of a checkpoint folder: tokenizer.json as the Rust crate `tokenizers` reads it, in
// the program crosscheck-oracle (docs/engine_protocol.md, tokenizer/1).
//
// Example:
//   auto tokenizer = Tokenizer::Load("seeds/checkpoints/tiny-qwen35");
//   auto ids = (*tokenizer)->Encode("def area(", kPlainText);
#ifndef CROSSCHECK_QUALITY_TOKENIZER_H_
#define CROSSCHECK_QUALITY_TOKENIZER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engines/engine.h"

namespace crosscheck::quality {

struct EncodeOptions {
  bool parse_special;       // special strings in the text become their tokens; else they are text
  bool add_special_tokens;  // those that the post-processor adds, such as a first BOS
};
inline constexpr EncodeOptions kPlainText = {false, true};     // prompts with template "none"
inline constexpr EncodeOptions kRenderedText = {true, false};  // prompts with template "given"
inline constexpr EncodeOptions kCorpusText = {true, true};     // Transformers' default: perplexity

class Tokenizer {
 public:
  // NotFound: the folder has no tokenizer.json. FailedPrecondition: crosscheck-oracle is not built.
  // InvalidArgument: the crate refuses the file. The messages say what to do.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Load(const std::string& folder);

  // InvalidArgument: a text is longer than 4 MiB or not UTF-8.
  absl::StatusOr<std::vector<std::vector<int32_t>>> EncodeAll(absl::Span<const std::string> texts,
                                                              EncodeOptions options);
  absl::StatusOr<std::vector<int32_t>> Encode(const std::string& text, EncodeOptions options);
  // Special tokens are shown. Bytes that are no UTF-8 become U+FFFD; ids that the vocabulary lacks
  // give no text.
  absl::StatusOr<std::vector<std::string>> DecodeAll(
      absl::Span<const std::vector<int32_t>> sequences);
  absl::StatusOr<std::string> Decode(const std::vector<int32_t>& ids);

  int size() const { return size_; }                                          // largest id + 1
  const std::string& sha256() const { return sha256_; }                       // of tokenizer.json
  const std::map<std::string, int32_t>& special() const { return special_; }  // text to id
  // tokenizer_config.json's bos_token and eos_token, where it names them.
  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  // SHA-256 of the ids of a fixed set of strings: equal for tokenizers that agree where files
  // differ in form only.
  absl::StatusOr<std::string> Fingerprint();

 private:
  explicit Tokenizer(std::unique_ptr<Engine> oracle) : oracle_(std::move(oracle)) {}
  absl::Status Open(const std::string& folder);
  absl::Status ReadSpecialTokens(const std::string& folder);

  std::unique_ptr<Engine> oracle_;
  std::string name_, sha256_;
  int size_ = 0;
  std::map<std::string, int32_t> special_;
  std::optional<int32_t> bos_, eos_;
};

// "1,2,3": the form in which recorded token streams are hashed.
std::string CommaJoined(absl::Span<const int32_t> ids);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TOKENIZER_H_
