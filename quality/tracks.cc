#include "quality/tracks.h"

#include <algorithm>
#include <iterator>

namespace crosscheck::quality {
namespace {

// Ids [begin, end) of `text`, of which positions from `first` on are scored.
Item Window(const std::vector<int32_t>& text, int begin, int end, int first) {
  Item item;
  item.ids.assign(text.begin() + begin, text.begin() + end);
  item.scored = {first - begin, end - 1 - begin};
  item.targets.assign(text.begin() + first + 1, text.begin() + end);
  return item;
}

}  // namespace

int Track::positions() const {
  int sum = 0;
  for (const Item& item : items) sum += item.scored.rows();
  return sum;
}

Item ForcedItem(const std::vector<int32_t>& prompt, const std::vector<int32_t>& continuation,
                int positions) {
  const int prompt_size = static_cast<int>(prompt.size());
  const int continued = static_cast<int>(continuation.size());
  const int scored = std::min(positions, continued + 1);
  Item item{.ids = prompt, .scored = {prompt_size - 1, prompt_size - 1 + scored}, .targets = {}};
  item.ids.insert(item.ids.end(), continuation.begin(), continuation.begin() + (scored - 1));
  item.targets.assign(continuation.begin(), continuation.begin() + std::min(scored, continued));
  item.targets.resize(static_cast<size_t>(scored), -1);
  return item;
}

Track TextTrack(const std::vector<int32_t>& text, int window, int stride) {
  Track track{.name = "text", .evaluation = Evaluation::kPrefill, .items = {}};
  const int size = static_cast<int>(text.size());
  int scored = 0;  // positions before this have been scored
  for (int begin = 0; size >= 2; begin += stride) {
    const int end = std::min(size, begin + window);
    track.items.push_back(Window(text, begin, end, scored));
    scored = end - 1;
    if (end == size) break;
  }
  return track;
}

Track StepTrack(const std::vector<int32_t>& text, int targets, int window) {
  Track track{.name = "steps", .evaluation = Evaluation::kSteps, .items = {}};
  const int size = std::min(static_cast<int>(text.size()), targets + 1);
  for (int begin = 0; begin + 1 < size; begin += window - 1) {
    track.items.push_back(Window(text, begin, std::min(size, begin + window), begin));
  }
  return track;
}

}  // namespace crosscheck::quality
