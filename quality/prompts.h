// Prompts of a comparison: JSON Lines as users write them, the set that the program carries, and
// pieces of a plain text. docs/prompts.md has the format.
//
// Example of a line:
//   {"id": "code-07", "kind": "code", "text": "def area(", "max_tokens": 50, "template": "none"}
#ifndef CROSSCHECK_QUALITY_PROMPTS_H_
#define CROSSCHECK_QUALITY_PROMPTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck::quality {

enum class PromptTemplate {
  kNone,   // plain text: special strings in it are text; the tokenizer adds its special tokens
  kGiven,  // already rendered by a chat template: special tokens are parsed, none are added
};
inline constexpr std::string_view kPromptTemplateNames[] = {"none", "given"};

struct Prompt {
  std::string id;              // unique in its set
  std::string kind = "other";  // the report groups by it
  std::string text;            // "" where only ids are given
  std::vector<int32_t> ids;    // given, or from the tokenizer (prompt_ids.h); else empty
  int max_tokens = 0;          // of the greedy continuation; 0: as many as the run asks for
  PromptTemplate chat_template = PromptTemplate::kNone;
  std::vector<std::string> stop;  // the token that completes one of these texts is the last one
  std::optional<std::string> reference;  // an expected answer
};

// Prompts from JSON Lines; blank lines are skipped. InvalidArgument names `source` and the line:
// no JSON, unknown or repeated key, wrong type, an id used twice, neither text nor ids, `messages`
// (with the way to render them), or no prompt at all.
absl::StatusOr<std::vector<Prompt>> ParsePrompts(std::string_view lines, std::string_view source);
absl::StatusOr<std::vector<Prompt>> ReadPrompts(const std::string& path);

// The 100 prompts that the program carries (quality/prompts/default.jsonl), and their text.
std::string_view DefaultPromptLines();
absl::StatusOr<std::vector<Prompt>> DefaultPrompts();

// One line without its newline; ParsePrompts reads the same prompt from it.
std::string PromptLine(const Prompt& prompt);

// One line for each, as a dump keeps them (docs/dump_format.md).
std::string PromptLines(absl::Span<const Prompt> prompts);
// SHA-256 of "id:1,2,3" for each prompt, a line each.
std::string HashOfPrompts(absl::Span<const Prompt> prompts);

// `count` further prompts from a tokenised text: 16 to 128 successive ids each, from places that
// the seed chooses, no two from one place. Prompt i depends on the text, the seed and i only.
// InvalidArgument: the text has fewer than 16 ids, or fewer places than `count`.
absl::StatusOr<std::vector<Prompt>> TextPrompts(absl::Span<const int32_t> ids, int count,
                                                uint64_t seed);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_PROMPTS_H_
