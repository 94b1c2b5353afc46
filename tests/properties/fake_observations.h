// Hand-made observations for judge tests: replies by index, absent ones are not available.
#ifndef CROSSCHECK_TESTS_PROPERTIES_FAKE_OBSERVATIONS_H_
#define CROSSCHECK_TESTS_PROPERTIES_FAKE_OBSERVATIONS_H_

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "properties/logits.h"
#include "properties/property.h"

namespace crosscheck {

class FakeObservations : public Observations {
 public:
  const Reply& operator[](size_t i) override {
    ++looks[i];
    auto found = replies.find(i);
    if (found == replies.end()) ADD_FAILURE() << "the judge looked at observation " << i;
    return found == replies.end() ? empty_ : found->second;
  }
  bool Available(size_t i) const override { return replies.contains(i); }
  bool Wanted(size_t i) const override { return wanted.contains(i); }
  std::string_view engine_family() const override { return "fake"; }

  std::map<size_t, Reply> replies;
  std::map<size_t, bool> wanted;
  std::map<size_t, int> looks;

 private:
  Reply empty_;
};

// Logits of one sequence as an answer holds them: positions of the padded ids and rows.
struct Rows {
  std::vector<int> positions;
  std::vector<std::vector<double>> logits;
};

template <class T>
Reply LogitsReply(const std::vector<Rows>& sequences, const Json& counters) {
  Reply reply;
  Json positions = Json::array();
  for (size_t s = 0; s < sequences.size(); ++s) {
    positions.push_back(sequences[s].positions);
    std::vector<T> values;
    for (const auto& row : sequences[s].logits) values.insert(values.end(), row.begin(), row.end());
    int64_t rows = static_cast<int64_t>(sequences[s].logits.size());
    int64_t vocab = rows == 0 ? 0 : static_cast<int64_t>(sequences[s].logits[0].size());
    reply.message.tensors.push_back(
        MakeTensor("logits." + std::to_string(s), {rows, vocab}, absl::MakeConstSpan(values)));
  }
  reply.message.head = {{"ok", true}, {"positions", positions}, {"counters", counters}};
  return reply;
}

inline SequenceCase Sequence(std::vector<int32_t> ids, int generate = 0) {
  SequenceCase sequence;
  sequence.ids = std::move(ids);
  sequence.generate = generate;
  return sequence;
}

// A model of two layers; judges read nothing of it but its shape, style and end-of-sequence id.
inline std::shared_ptr<const ModelRecipe> FakeModel(int vocab) {
  auto recipe = std::make_shared<ModelRecipe>();
  recipe->spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  recipe->spec.vocab = vocab;
  recipe->spec.eos = 0;
  return recipe;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_PROPERTIES_FAKE_OBSERVATIONS_H_
