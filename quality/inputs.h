// Prompts and text of a comparison as token ids.
#ifndef CROSSCHECK_QUALITY_INPUTS_H_
#define CROSSCHECK_QUALITY_INPUTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "quality/prompts.h"
#include "quality/task_requests.h"
#include "quality/tokenizer.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

struct InputOptions {
  std::string prompts_file;  // "": the prompts that the program carries
  std::string text_file;     // "": no text, no perplexity
  int limit = 0;             // prompts; 0: all
  int text_tokens = 0;       // of the text; 0: all
  int prompts_wanted = 0;    // pieces of the text are added up to so many
  bool shuffled = false;     // makes Inputs::order
  // Only `fresh` pieces of the text, beyond the first `fresh_from`, and no text; 0: as above.
  int fresh = 0, fresh_from = 0;
  WindowPlan windows;
  int step_targets = 256;      // of the text, evaluated token by token
  bool truncate_left = false;  // cut prompts that do not fit the context instead of refusing them
  TaskOptions tasks;
  uint64_t seed = 1;
};

struct Inputs {
  std::vector<Prompt> prompts;  // all with ids; the given ones by their id
  int given = 0;                // of them, first; the others are pieces of the text, run greedily
  // Indices of prompts in the order in which a sequential gate looks at them: a seeded shuffle in
  // which pieces of the text, which are from seeded places, keep their order. Empty: no such gate.
  std::vector<int> order;
  std::vector<int32_t> text;
  std::vector<Window> windows;              // of the text
  Scheme scheme = Scheme::kWindow;          // of the windows
  std::string prompts_sha256, text_sha256;  // of the ids, comma-separated
  std::vector<TaskRequests> tasks;          // of multiple choice
  nlohmann::json tokenizer;                 // sha256, size, fingerprint; null when there was none
  int32_t bos = -1;                         // that the tokenizer adds to a text; -1: none
  std::shared_ptr<Tokenizer> decoder;       // null when there was none
};

// Errors: no tokenizer where text has to become ids, ids outside the vocabulary, a prompt and its
// budget beyond the context (by id), an empty file.
absl::StatusOr<Inputs> ReadInputs(const InputOptions& options, const std::string& model_folder,
                                  int vocab, int context, int max_tokens);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_INPUTS_H_
