// Whether an engine's own tokenizer makes the ids that all metrics are about: a difference is a
// finding of its own, whatever the logits are.
#ifndef CROSSCHECK_QUALITY_ENGINE_TOKENIZER_H_
#define CROSSCHECK_QUALITY_ENGINE_TOKENIZER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "quality/inputs.h"
#include "quality/side.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// A text and its ids by the tokenizers of the reference and of the engine.
struct TwoSplits {
  std::string name, text;  // of the prompt, or "text"
  std::vector<int32_t> reference, engine;
};

// One finding, or none: how many texts differ, the first of them and both splits from where they
// part.
std::vector<Finding> FindingsOfSplits(const std::vector<TwoSplits>& splits);

// Asks `side` for the ids of every prompt with a text and of the text file ("": none). An engine
// that shows no tokenizer, or not for such texts, is a skip.
absl::Status CompareTokenizers(Side& side, const Inputs& inputs, const std::string& text_file,
                               ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_ENGINE_TOKENIZER_H_
