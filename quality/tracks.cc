#include "quality/tracks.h"

#include <algorithm>

namespace crosscheck::quality {
namespace {

// Ids [begin, end) of `text`, of which the targets [first, last) are scored.
Item WindowItem(const std::vector<int32_t>& text, int64_t begin, int64_t end, int64_t first,
                int64_t last) {
  Item item;
  item.ids.assign(text.begin() + begin, text.begin() + end);
  item.scored = {static_cast<int>(first - 1 - begin), static_cast<int>(last - 1 - begin)};
  item.targets.assign(text.begin() + first, text.begin() + last);
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

Track TextTrack(const std::vector<int32_t>& text, const std::vector<Window>& windows, int32_t bos) {
  Track track{.name = "text", .evaluation = Evaluation::kPrefill, .items = {}};
  for (const Window& window : windows) {
    track.items.push_back(
        WindowItem(text, window.begin, window.end, window.first_target, window.last_target));
    if (window.replace_first_by_bos && bos >= 0) track.items.back().ids[0] = bos;
  }
  return track;
}

Track StepTrack(const std::vector<int32_t>& text, int targets, int window) {
  Track track{.name = "steps", .evaluation = Evaluation::kSteps, .items = {}};
  const int size = std::min(static_cast<int>(text.size()), targets + 1);
  for (int begin = 0; begin + 1 < size; begin += window - 1) {
    const int end = std::min(size, begin + window);
    track.items.push_back(WindowItem(text, begin, end, begin + 1, end));
  }
  return track;
}

}  // namespace crosscheck::quality
