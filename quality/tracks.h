// What both sides of a comparison are asked: tracks of items, each a sequence of ids and the
// positions of it that are scored (quality.md 2.1).
//
// | track | items | scored positions |
// |---|---|---|
// | greedy | prompts | each side goes on by its own argmax |
// | forced | prompts with the reference's greedy continuation | from the last token of the prompt |
// | text | windows of a text | those that the window is the first to cover |
// | steps | the beginning of the text, token by token | all |
// | sampled | prompts, several seeds | each side goes on by its sampler |
// | draws | positions of `forced` | each side's sampler draws from its own logits, many times |
// | layers | some of `forced` | intermediate values |
#ifndef CROSSCHECK_QUALITY_TRACKS_H_
#define CROSSCHECK_QUALITY_TRACKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "quality/metrics/perplexity.h"
#include "quality/side.h"

namespace crosscheck::quality {

inline constexpr double kSamplingTemperature = 0.7;  // of the tracks sampled and draws

// Position t of `ids` predicts targets[t - scored.first]; -1: it has no target.
struct Item {
  std::vector<int32_t> ids;
  Block scored;
  std::vector<int32_t> targets;
};

struct Track {
  std::string name;
  Evaluation evaluation = Evaluation::kDecode;
  std::vector<Item> items;
  int positions() const;
};

// `continuation` is the reference's; at most `positions` predictions, the first of them after the
// last token of the prompt.
Item ForcedItem(const std::vector<int32_t>& prompt, const std::vector<int32_t>& continuation,
                int positions);

// One item for each window, scored where the window says. `bos`: the id that takes the place of a
// window's first token where the plan wants one; -1: none.
Track TextTrack(const std::vector<int32_t>& text, const std::vector<Window>& windows,
                int32_t bos = -1);

// The first `targets` targets of `text`, evaluated token by token in sequences of at most `window`
// tokens.
Track StepTrack(const std::vector<int32_t>& text, int targets, int window);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TRACKS_H_
