// The `logits` message of a model run case: its request, and its answer checked and in typed form.
//
// Example:
//   Run run{.role = Role::kEngine, .model = c.model, .request = LogitsRequest(c, c.path)};
//   absl::StatusOr<LogitsAnswer> answer = ReadLogits(reply.message, c, c.path);   // an error
//   status is a lie
#ifndef CROSSCHECK_PROPERTIES_LOGITS_H_
#define CROSSCHECK_PROPERTIES_LOGITS_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engines/message.h"
#include "properties/subjects/model_run.h"
#include "reference/metrics.h"

namespace crosscheck {

// Logits of one sequence at some of its positions; positions count the real tokens, padding
// excluded.
struct SequenceLogits {
  std::vector<int> positions;  // strictly increasing, 0..ids.size()-1
  int vocab = 0;
  std::vector<double> values;  // [positions, vocab]
  absl::Span<const double> row(size_t i) const {
    return absl::MakeConstSpan(values).subspan(i * vocab, vocab);
  }
};

// What the routers of a mixture of experts answered at every position of a sequence.
struct RouterLogits {
  int layers = 0, positions = 0, experts = 0;
  std::vector<double> values;  // [layers, positions, experts]
  absl::Span<const double> row(int layer, int position) const {
    const size_t first = (static_cast<size_t>(layer) * positions + position) * experts;
    return absl::MakeConstSpan(values).subspan(first, experts);
  }
};

struct LogitsAnswer {
  std::vector<SequenceLogits> sequences;
  std::vector<RouterLogits> routers;  // one for each sequence where asked for, else empty
  DType dtype = DType::kF32;          // of the tensors
  bool path_ran = false;              // the counters of the path are positive (judging.md 9.1)
};

// All sequences in one message, in order; chunks on the session path; padding ids and masks where a
// sequence has padding.
Message LogitsRequest(const ModelRunCase& c, ModelPath path);
// The same for a reference: of a mixture of experts it answers the router logits as well.
Message ReferenceLogitsRequest(const ModelRunCase& c, ModelPath path);
// Asks a logits request for the router logits where the model has routers.
Message WithRouter(Message request, const ModelSpec& spec);
// All positions of the unpadded sequences, for the exact model, with router logits.
Message ExactRequest(const ModelRunCase& c);

// Errors name what is missing, of the wrong dtype or shape, or which positions are not those of the
// path. Rows of padding are checked in shape and then dropped.
absl::StatusOr<LogitsAnswer> ReadLogits(const Message& answer, const ModelRunCase& c,
                                        ModelPath path);
absl::StatusOr<LogitsAnswer> ReadExact(const Message& answer, const ModelRunCase& c);

// One distance over every position that both answers hold and `judged` holds too.
DistancePool PoolDistances(const LogitsAnswer& exact, const LogitsAnswer& other,
                           const LogitsAnswer& judged);

// The first value that is not finite, in order of sequence, position and logit; index -1 when all
// are finite.
struct LogitPlace {
  int sequence = 0, position = 0, logit = -1;
  double value = 0;
};
LogitPlace FirstNonfinite(const LogitsAnswer& answer);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_LOGITS_H_
