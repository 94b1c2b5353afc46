// One planted fault of the `faulty:` engines, and what several of them share.
//
// A new fault is one row and one function in the file of its op, engines/faults/<op>.cc; a new file
// is one more name in the list of AllFaults().
#ifndef CROSSCHECK_ENGINES_FAULTS_FAULT_H_
#define CROSSCHECK_ENGINES_FAULTS_FAULT_H_

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engines/engine.h"
#include "engines/request_fields.h"
#include "reference/weights.h"

namespace crosscheck {

struct Fault {
  std::string_view name;
  Reply (*answer)(Engine& inner, const Message& request,
                  const ModelSpec& spec);      // null: not touched
  void (*edit_model)(Model& model) = nullptr;  // null: not touched
  std::string_view op = "logits";              // which `answer` replaces; "": every op on a model
  // As edit_model, with the options of the `load`, which it may change.
  void (*edit_load)(Model& model, Json& options) = nullptr;
};

// A fault of any one tensor, which the name of the engine says: faulty:NAME@TENSOR. Not in the list
// of the faults: it is none without its tensor.
struct WeightFault {
  std::string_view name;
  void (*edit)(Model& model, size_t tensor);  // index into model.tensors
};
absl::Span<const WeightFault> WeightFaults();

// The faults of one file, static lifetime.
absl::Span<const Fault> ModelFaults();     // edit the weights at `load`
absl::Span<const Fault> LogitsFaults();    // edit answers of `logits`
absl::Span<const Fault> ProcessFaults();   // crash, hang, allocate, panic, print
absl::Span<const Fault> GenerateFaults();  // edit answers of `generate`
absl::Span<const Fault> SessionFaults();   // edit answers of `program` with `calls`
absl::Span<const Fault> SamplerFaults();   // edit `draw`, `invert` and the sampling of `generate`
absl::Span<const Fault> ProbeFaults();     // edit answers of `hidden` and `nll`
absl::Span<const Fault> StateFaults();     // remember earlier requests
absl::Span<const Fault> LoadFaults();      // misread files
absl::Span<const Fault> FormatFaults();    // edit the weights at `load` in another format
absl::Span<const Fault> AdapterFaults();   // adapters at `load` and in requests
std::vector<Fault> AllFaults();

inline std::vector<int64_t> Ids(const Json& sequence) {
  return IntegersField(sequence, "ids").value_or(std::vector<int64_t>());
}

// True when `matches` holds for the ids of any sequence of the request.
template <class Matches>
bool AnySequence(const Message& request, Matches matches) {
  const absl::StatusOr<const Json*> sequences = ArrayField(request.head, "sequences");
  return sequences.ok() && std::any_of((*sequences)->begin(), (*sequences)->end(),
                                       [&](const Json& s) { return matches(Ids(s)); });
}

// Calls edit(ids, positions, rows) for each answered sequence; rows[i] holds the logits of
// positions[i].
template <class T, class Edit>
void EditRowsOf(Tensor& tensor, const std::vector<int64_t>& ids,
                const std::vector<int64_t>& positions, Edit edit) {
  if (positions.empty()) return;
  const size_t vocab = tensor.bytes.size() / sizeof(T) / positions.size();
  std::vector<T*> rows;
  rows.reserve(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    rows.push_back(reinterpret_cast<T*>(tensor.bytes.data()) + i * vocab);
  }
  edit(ids, positions, rows, vocab);
}

template <class Edit>
Reply EditRows(Engine& inner, const Message& request, Edit edit) {
  Reply reply = inner.Call(request);
  if (!reply.ok()) return reply;
  const Json& sequences = request.head["sequences"];
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto positions = reply.message.head["positions"][i].get<std::vector<int64_t>>();
    for (Tensor& tensor : reply.message.tensors) {
      if (tensor.name != absl::StrCat("logits.", i)) continue;
      if (tensor.dtype == DType::kF64) {
        EditRowsOf<double>(tensor, Ids(sequences[i]), positions, edit);
      }
      if (tensor.dtype == DType::kF32) {
        EditRowsOf<float>(tensor, Ids(sequences[i]), positions, edit);
      }
    }
  }
  return reply;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_FAULTS_FAULT_H_
