#include "quality/inputs.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/stream.h"
#include "quality/prompt_ids.h"
#include "quality/sha256.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

// The text's ids, cut where the options say.
absl::StatusOr<std::vector<int32_t>> ReadText(const InputOptions& options, Tokenizer* tokenizer) {
  if (options.text_file.empty()) return std::vector<int32_t>{};
  if (tokenizer == nullptr) {
    return absl::FailedPreconditionError("--text needs the model's tokenizer.json");
  }
  const auto text = ReadFile(options.text_file);
  if (!text.ok()) return text.status();
  auto ids = tokenizer->Encode(*text, kCorpusText);
  if (!ids.ok()) return ids.status();
  if (ids->size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("the text ", options.text_file, " has ",
                                                   ids->size(), " tokens; two are the least"));
  }
  if (options.text_tokens > 0 && ids->size() > static_cast<size_t>(options.text_tokens)) {
    ids->resize(static_cast<size_t>(options.text_tokens));
  }
  return ids;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const InputOptions& options,
                                                         const std::string& model_folder,
                                                         const std::vector<Prompt>& prompts) {
  const bool needed = !options.text_file.empty() ||
                      std::any_of(prompts.begin(), prompts.end(),
                                  [](const Prompt& p) { return p.ids.empty() || !p.stop.empty(); });
  auto tokenizer = Tokenizer::Load(model_folder);
  if (!tokenizer.ok() && !needed) return std::unique_ptr<Tokenizer>();
  return tokenizer;
}

// In the place of all prompts: pieces of the text that no other run of these options had.
absl::Status TakeFreshPrompts(const InputOptions& options, Inputs& inputs) {
  auto pieces = TextPrompts(inputs.text, options.fresh_from + options.fresh, options.seed);
  if (!pieces.ok()) return pieces.status();
  inputs.prompts.assign(pieces->begin() + options.fresh_from, pieces->end());
  inputs.given = options.fresh;
  inputs.text.clear();
  return absl::OkStatus();
}

// Further prompts: pieces of the text, up to the number that was asked for.
absl::Status AddTextPrompts(const InputOptions& options, Inputs& inputs) {
  if (options.fresh > 0) return TakeFreshPrompts(options, inputs);
  inputs.given = static_cast<int>(inputs.prompts.size());
  const int more = options.prompts_wanted - inputs.given;
  if (inputs.text.empty() || more <= 0) return absl::OkStatus();
  const auto places = static_cast<int>(inputs.text.size()) - 128;
  if (places <= 0) return absl::OkStatus();
  auto pieces = TextPrompts(inputs.text, std::min(more, places), options.seed);
  if (!pieces.ok()) return pieces.status();
  std::move(pieces->begin(), pieces->end(), std::back_inserter(inputs.prompts));
  return absl::OkStatus();
}

// A uniform shuffle of all, in which those from `given` on are then put into their own order.
std::vector<int> PromptOrder(int prompts, int given, uint64_t seed) {
  std::vector<int> order(static_cast<size_t>(prompts));
  std::iota(order.begin(), order.end(), 0);
  Stream stream(seed, "prompt order");
  for (int i = prompts - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(stream.Int(0, i))]);
  }
  int next = given;
  for (int& index : order) {
    if (index >= given) index = next++;
  }
  return order;
}

}  // namespace

absl::StatusOr<Inputs> ReadInputs(const InputOptions& options, const std::string& model_folder,
                                  int vocab, int context, int max_tokens) {
  Inputs inputs;
  auto prompts =
      options.prompts_file.empty() ? DefaultPrompts() : ReadPrompts(options.prompts_file);
  if (!prompts.ok()) return prompts.status();
  inputs.prompts = *std::move(prompts);
  if (options.limit > 0 && inputs.prompts.size() > static_cast<size_t>(options.limit)) {
    inputs.prompts.resize(static_cast<size_t>(options.limit));
  }
  // Whatever order a file has, no table changes.
  std::sort(inputs.prompts.begin(), inputs.prompts.end(),
            [](const Prompt& a, const Prompt& b) { return a.id < b.id; });
  auto tokenizer = OpenTokenizer(options, model_folder, inputs.prompts);
  if (!tokenizer.ok()) return tokenizer.status();
  if (absl::Status s = EncodePrompts(tokenizer->get(), &inputs.prompts); !s.ok()) return s;
  auto text = ReadText(options, tokenizer->get());
  if (!text.ok()) return text.status();
  inputs.text = *std::move(text);
  if (*tokenizer != nullptr && !inputs.text.empty() && inputs.text[0] == (*tokenizer)->bos()) {
    inputs.bos = inputs.text[0];
  }
  if (absl::Status s = AddTextPrompts(options, inputs); !s.ok()) return s;
  if (options.shuffled) {
    inputs.order = PromptOrder(static_cast<int>(inputs.prompts.size()), inputs.given, options.seed);
  }
  for (Prompt& prompt : inputs.prompts) {
    prompt.max_tokens =
        prompt.max_tokens > 0 ? std::min(prompt.max_tokens, max_tokens) : max_tokens;
  }
  absl::Status fits = FitPrompts(context, vocab, options.truncate_left, &inputs.prompts);
  if (!fits.ok()) return fits;
  auto tasks = ReadTasks(options.tasks, tokenizer->get(), context);
  if (!tasks.ok()) return tasks.status();
  inputs.tasks = *std::move(tasks);
  if (*tokenizer != nullptr) {
    auto fingerprint = (*tokenizer)->Fingerprint();
    if (!fingerprint.ok()) return fingerprint.status();
    inputs.tokenizer = {{"sha256", (*tokenizer)->sha256()},
                        {"size", (*tokenizer)->size()},
                        {"fingerprint", *fingerprint}};
    inputs.decoder = *std::move(tokenizer);
  }
  inputs.scheme = options.windows.scheme;
  inputs.windows = PlanWindows(options.windows, static_cast<int64_t>(inputs.text.size()));
  inputs.prompts_sha256 = HashOfPrompts(inputs.prompts);
  inputs.text_sha256 = Sha256(CommaJoined(inputs.text));
  return inputs;
}

}  // namespace crosscheck::quality
