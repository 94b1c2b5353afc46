// Token ids of prompts, and whether they fit a model.
#ifndef CROSSCHECK_QUALITY_PROMPT_IDS_H_
#define CROSSCHECK_QUALITY_PROMPT_IDS_H_

#include <vector>

#include "absl/status/status.h"
#include "quality/prompts.h"
#include "quality/tokenizer.h"

namespace crosscheck::quality {

// Fills the ids of prompts that have a text only. InvalidArgument: a prompt has both and the
// tokenizer makes other ids of its text (the message shows the first difference, both ways), or a
// text gives no ids. `tokenizer` may be null when every prompt has ids; texts are then not checked.
absl::Status EncodePrompts(Tokenizer* tokenizer, std::vector<Prompt>* prompts);

// OutOfRange, naming the prompts: more ids than context - max_tokens, or an id that is not below
// `vocab`. `truncate_left` drops ids from the front of long prompts instead.
absl::Status FitPrompts(int context, int vocab, bool truncate_left, std::vector<Prompt>* prompts);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_PROMPT_IDS_H_
