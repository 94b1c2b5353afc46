// Compiled twice: CROSSCHECK_PLANTED names the namespace (fuzz/targets/CMakeLists.txt).
#include "fuzz/targets/planted_bugs.h"

#include <algorithm>

namespace crosscheck::CROSSCHECK_PLANTED {
namespace {

using In = PlantedInput;

const std::vector<int64_t>& First(const In& in) { return in.prompts[0]; }

// The I-th id of the first prompt has remainder R of 4.
template <size_t I, int64_t R>
bool Id(const In& in) {
  return First(in).size() > I && First(in)[I] % 4 == R;
}

// The I-th id of the first prompt is that at J.
template <size_t I, size_t J>
bool Same(const In& in) {
  return First(in).size() > std::max(I, J) && First(in)[I] == First(in)[J];
}

template <size_t N>
bool Prompts(const In& in) {
  return in.prompts.size() == N;
}

template <size_t N>
bool Layers(const In& in) {
  return in.spec.layers.size() == N;
}

bool OneKvHead(const In& in) { return in.spec.kv_heads == 1; }
bool ThreeHeads(const In& in) { return in.spec.heads == 3; }
bool LastIsLinear(const In& in) { return in.spec.layers.back() == LayerKind::kLinearAttention; }
bool TriplesValueHeads(const In& in) {
  return in.spec.linear_value_heads == 3 * in.spec.linear_key_heads;
}
bool ShortKernel(const In& in) { return in.spec.conv_kernel == 2; }
bool OddHidden(const In& in) { return in.spec.hidden % 2 == 1; }
bool PartialRotary(const In& in) { return in.spec.rotary_dim < in.spec.head_dim; }
bool PrimeVocab(const In& in) { return in.spec.vocab == 17 || in.spec.vocab == 31; }
bool Session(const In& in) { return in.session; }
bool BeyondKernel(const In& in) {
  return First(in).size() == static_cast<size_t>(in.spec.conv_kernel) + 1;
}
bool Falls(const In& in) {
  return in.prompts.size() > 1 && First(in).size() > in.prompts[1].size();
}
bool EndsAsItBegins(const In& in) {
  return First(in).size() > 2 && First(in).front() == First(in).back();
}
bool LastIdIsLargest(const In& in) { return First(in).back() == in.spec.vocab - 1; }

}  // namespace

const std::vector<PlantedBug>& Bugs() {
  static const auto& bugs = *new std::vector<PlantedBug>{
      {"shape-2", "1 KV head, 3 heads", false, {OneKvHead, ThreeHeads}},
      {"shape-3",
       "last layer linear, value heads 3 x key heads, kernel 2",
       false,
       {LastIsLinear, TriplesValueHeads, ShortKernel}},
      {"shape-4",
       "4 layers, odd hidden, vocabulary 17 or 31, 1 KV head",
       false,
       {Layers<4>, OddHidden, PrimeVocab, OneKvHead}},
      {"shape-5",
       "last layer linear, 3 heads, kernel 2, partial rotary, vocabulary 17 or 31",
       false,
       {LastIsLinear, ThreeHeads, ShortKernel, PartialRotary, PrimeVocab}},
      {"ids-2", "remainders of 4 of the first ids: 2 1", false, {Id<0, 2>, Id<1, 1>}},
      {"ids-4", "2 1 3 1", false, {Id<0, 2>, Id<1, 1>, Id<2, 3>, Id<3, 1>}},
      {"ids-6", "2 1 3 1 2 3", false, {Id<0, 2>, Id<1, 1>, Id<2, 3>, Id<3, 1>, Id<4, 2>, Id<5, 3>}},
      {"length-3",
       "session, prompt one longer than the kernel, last id the largest",
       false,
       {Session, BeyondKernel, LastIdIsLargest}},
      {"repeat-3",
       "ids 0 = 2, 1 = 3, first = last, in a session",
       false,
       {Session, Same<0, 2>, Same<1, 3>, EndsAsItBegins}},
      {"prompts-3",
       "3 prompts, the second shorter, remainder 3, odd hidden",
       false,
       {Prompts<3>, Falls, Id<0, 3>, OddHidden}},
      {"grows-3",
       "error grows with: 3 heads, odd hidden, kernel 2",
       true,
       {ThreeHeads, OddHidden, ShortKernel}},
      {"grows-4",
       "error grows with: remainders 2 1, session, 1 KV head",
       true,
       {Id<0, 2>, Id<1, 1>, Session, OneKvHead}},
  };
  return bugs;
}

size_t Holding(const PlantedBug& bug, const PlantedInput& input) {
  size_t holding = 0;
  for (const PlantedCondition condition : bug.conditions) {
    if (condition(input)) {
      ++holding;
    } else if (!bug.grows) {
      break;
    }
  }
  return holding;
}

}  // namespace crosscheck::CROSSCHECK_PLANTED
