#include "quality/inputs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quality/sha256.h"

namespace crosscheck::quality {
namespace {

absl::Status CheckPrompt(Prompt& prompt, const InputOptions& options, int vocab, int context,
                         int max_tokens) {
  if (prompt.ids.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, ": it has no token"));
  }
  for (const int32_t id : prompt.ids) {
    if (id < 0 || id >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt ", prompt.id, ": id ", id, " is outside the vocabulary of ", vocab));
    }
  }
  const int room = context - max_tokens;
  if (static_cast<int>(prompt.ids.size()) <= room) return absl::OkStatus();
  if (!options.truncate_left || room < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt ", prompt.id, ": ", prompt.ids.size(), " tokens and ", max_tokens,
                     " more do not fit the context of ", context,
                     "; shorten it, or cut its beginning with --truncate-left"));
  }
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.end() - room);
  return absl::OkStatus();
}

std::string HashOfPrompts(const std::vector<Prompt>& prompts) {
  std::string text;
  for (const Prompt& prompt : prompts) {
    absl::StrAppend(&text, prompt.id, ":", absl::StrJoin(prompt.ids, ","), "\n");
  }
  return Sha256(text);
}

}  // namespace

absl::StatusOr<Inputs> ReadInputs(const InputOptions& options, const std::string& /*model_folder*/,
                                  int vocab, int context, int max_tokens) {
  Inputs inputs;
  auto prompts =
      options.prompts_file.empty() ? DefaultPrompts() : ReadPrompts(options.prompts_file);
  if (!prompts.ok()) return prompts.status();
  inputs.prompts = *std::move(prompts);
  if (options.limit > 0 && inputs.prompts.size() > static_cast<size_t>(options.limit)) {
    inputs.prompts.resize(static_cast<size_t>(options.limit));
  }
  for (Prompt& prompt : inputs.prompts) {
    absl::Status status = CheckPrompt(prompt, options, vocab, context, max_tokens);
    if (!status.ok()) return status;
  }
  inputs.windows = PlanWindows(options.windows, static_cast<int64_t>(inputs.text.size()));
  inputs.prompts_sha256 = HashOfPrompts(inputs.prompts);
  inputs.text_sha256 = Sha256(absl::StrJoin(inputs.text, ","));
  return inputs;
}

}  // namespace crosscheck::quality
