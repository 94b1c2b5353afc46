// Draws through `generate`: the law of each token follows from the engine's own logits of its
// prefix.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engines/generate_message.h"
#include "properties/judges/failure.h"
#include "properties/judges/greedy.h"
#include "properties/logits.h"
#include "properties/sampler_runs.h"

namespace crosscheck {
namespace {

int GenerationsOf(int block) { return block == 0 ? kGenerations : kFreshGenerations; }

// Index of the first run of a block; its generations are followed by one logits run.
size_t FirstRun(int block) {
  size_t first = 0;
  for (int before = 0; before < block; ++before)
    first += static_cast<size_t>(GenerationsOf(before)) + 1;
  return first;
}

Message RequestOf(const SamplerCase& c, uint64_t seed) {
  const SampledGeneration& generation = c.generations[0];
  return GenerateMessage(generation.prompt, generation.tokens, NarrowParameters(c.parameters),
                         seed);
}

// Prompts and produced tokens as sequences: one prefill of the prompt, then steps, as generation
// does.
ModelRunCase ForcedRun(const SamplerCase& c, int block, Observations& observations) {
  const SampledGeneration& generation = c.generations[0];
  ModelRunCase run{.model = std::make_shared<const ModelRecipe>(generation.model),
                   .path = ModelPath::kSession,
                   .sequences = {}};
  for (int i = 0; i < GenerationsOf(block); ++i) {
    const auto generated = ReadGenerated(observations[FirstRun(block) + i].message);
    run.sequences.push_back(
        ForcedSequence(generation.prompt, generated.value_or(Generated()), generation.model.spec));
  }
  return run;
}

std::optional<Verdict> ReadAnswers(const SamplerCase& c, const std::string& stage, int block,
                                   Observations& observations, std::vector<Generated>& answers,
                                   const SamplingOrder*& order) {
  const SampledGeneration& generation = c.generations[0];
  for (int i = 0; i < GenerationsOf(block); ++i) {
    const Reply& reply = observations[FirstRun(block) + i];
    Generated generated;
    if (auto wrong = ReadGeneration(reply, stage, generated)) return wrong;
    const std::string wrong =
        MalformedGeneration(generated, generation.tokens, generation.model.spec);
    if (!wrong.empty()) {
      return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kToken, wrong);
    }
    if (auto unknown = ReadOrder(reply.message.head, stage, order)) return unknown;
    answers.push_back(std::move(generated));
  }
  return std::nullopt;
}

// Draws of one generation: its ids, and the end-of-sequence id where that ended it.
std::vector<int32_t> DrawsOf(const Generated& generated, const ModelSpec& spec) {
  std::vector<int32_t> draws = generated.ids;
  if (generated.stop == "eos") draws.push_back(spec.eos);
  return draws;
}

// Equal prefixes have one law.
class Laws {
 public:
  Laws(const SamplerCase& c, const SamplingOrder& order) : c_(c), order_(order) {}

  absl::Status Add(const std::vector<int32_t>& prefix, absl::Span<const double> logits,
                   DrawnBlock& drawn) {
    const auto [found, is_new] = index_.try_emplace(prefix, static_cast<int>(drawn.laws.size()));
    if (is_new) {
      auto law = LawOfDraw(logits, NarrowParameters(c_.parameters), prefix, order_);
      if (!law.ok()) return law.status();
      drawn.laws.push_back(*std::move(law));
    }
    drawn.law_of.push_back(found->second);
    return absl::OkStatus();
  }

 private:
  const SamplerCase& c_;
  const SamplingOrder& order_;
  std::map<std::vector<int32_t>, int> index_;
};

absl::Status AddDraws(const SampledGeneration& generation, const Generated& generated,
                      const SequenceLogits& rows, Laws& laws, DrawnBlock& drawn) {
  std::vector<int32_t> prefix = generation.prompt;
  for (const int32_t token : DrawsOf(generated, generation.model.spec)) {
    const auto position = static_cast<int>(prefix.size()) - 1;
    const auto at = std::find(rows.positions.begin(), rows.positions.end(), position);
    if (at == rows.positions.end()) {
      return absl::InternalError(absl::StrCat("no logits of position ", position));
    }
    absl::Status added =
        laws.Add(prefix, rows.row(static_cast<size_t>(at - rows.positions.begin())), drawn);
    if (!added.ok()) return added;
    drawn.tokens.push_back(token);
    prefix.push_back(token);
  }
  return absl::OkStatus();
}

}  // namespace

Runs PlanGenerations(const Case& erased, int blocks) {
  const auto& c = erased.As<SamplerCase>();
  const auto model = std::make_shared<const ModelRecipe>(c.generations[0].model);
  Runs plan;
  if (c.generations[0].tokens == 0) return plan;
  uint64_t index = 0;
  for (int block = 0; block < blocks; ++block) {
    for (int i = 0; i < GenerationsOf(block); ++i, ++index) {
      // Later ones differ in the seed alone and are written when they are looked at.
      if (index == 0) {
        plan.push_back(
            {.role = Role::kEngine, .model = model, .request = RequestOf(c, SeedAt(c, index))});
        continue;
      }
      plan.push_back({.role = Role::kEngine,
                      .model = model,
                      .request = {},
                      .derive = [erased, index](Observations&) {
                        const auto& own = erased.As<SamplerCase>();
                        return RequestOf(own, SeedAt(own, index));
                      }});
    }
    plan.push_back({.role = Role::kEngine,
                    .model = model,
                    .request = {},
                    .derive = [erased, block](Observations& seen) {
                      return LogitsRequest(ForcedRun(erased.As<SamplerCase>(), block, seen),
                                           ModelPath::kSession);
                    }});
  }
  return plan;
}

std::optional<Verdict> ReadGenerations(const SamplerCase& c, const std::string& stage, int block,
                                       Observations& observations, DrawnBlock& drawn) {
  const SampledGeneration& generation = c.generations[0];
  if (generation.tokens == 0) {
    return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                       "the prompt fills its context, there is no room to generate");
  }
  std::vector<Generated> answers;
  const SamplingOrder* order = nullptr;
  if (auto wrong = ReadAnswers(c, stage, block, observations, answers, order)) return wrong;
  const Reply& reply = observations[FirstRun(block + 1) - 1];
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  const ModelRunCase forced = ForcedRun(c, block, observations);
  const auto logits = ReadLogits(reply.message, forced, ModelPath::kSession);
  if (!logits.ok()) return ProtocolLie(stage, logits.status());
  Laws laws(c, *order);
  for (size_t i = 0; i < answers.size(); ++i) {
    absl::Status added = AddDraws(generation, answers[i], logits->sequences[i], laws, drawn);
    if (!added.ok()) {
      return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                         absl::StrCat("no law: ", std::string(added.message())));
    }
  }
  return std::nullopt;
}

}  // namespace crosscheck
