#include "engines/faulty_engine.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <limits>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engines/request_fields.h"
#include "reference/checkpoint.h"

namespace crosscheck {
namespace {

struct Fault {
  std::string_view name;
  Reply (*answer)(Engine& inner, const Message& request,
                  const ModelSpec& spec);      // null: not touched
  void (*edit_model)(Model& model) = nullptr;  // null: not touched
  std::string_view op = "logits";              // which `answer` replaces
};

std::vector<int64_t> Ids(const Json& sequence) {
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

// Rows of `matrix` [rows, columns] from `first` on: the pairs (i, i + rotary/2) become what were
// pairs (2i, 2i + 1).
void PairAdjacentRows(std::vector<float>& matrix, size_t first, size_t rotary, size_t columns) {
  const std::vector<float> old(matrix);
  for (size_t i = 0; i < rotary; ++i) {
    const size_t source = i < rotary / 2 ? 2 * i : 2 * (i - rotary / 2) + 1;
    std::copy_n(old.begin() + static_cast<ptrdiff_t>((first + source) * columns), columns,
                matrix.begin() + static_cast<ptrdiff_t>((first + i) * columns));
  }
}

// The classical mix-up of rotary layouts: dimension i paired with i + 1 instead of i + rotary/2.
void RopePairing(Model& model) {
  const ModelSpec& spec = model.spec;
  const auto rotary = static_cast<size_t>(spec.rotary_dim);
  const auto dim = static_cast<size_t>(spec.head_dim);
  const auto ends_with = [](std::string_view name, std::string_view end) {
    return name.size() >= end.size() && name.substr(name.size() - end.size()) == end;
  };
  for (size_t t = 0; t < model.tensors.size(); ++t) {
    const std::string& name = model.tensors[t].name;
    const bool query = ends_with(name, "self_attn.q_proj.weight");  // per head [q | gate]
    const bool key = ends_with(name, "self_attn.k_proj.weight");
    const bool norm =
        ends_with(name, "self_attn.q_norm.weight") || ends_with(name, "self_attn.k_norm.weight");
    const auto columns = static_cast<size_t>(norm ? 1 : spec.hidden);
    const auto heads = static_cast<size_t>(norm ? 1 : query ? spec.heads : spec.kv_heads);
    if (!query && !key && !norm) continue;
    for (size_t h = 0; h < heads; ++h) {
      PairAdjacentRows(model.values[t], h * (query ? 2 * dim : dim), rotary, columns);
    }
  }
}

Reply TokenLogit(Engine& inner, const Message& request, const ModelSpec&) {
  return EditRows(inner, request, [](const auto& ids, const auto& positions, auto& rows, size_t) {
    const auto first = std::find(ids.begin(), ids.end(), 3) - ids.begin();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (positions[i] >= first) rows[i][0] += 1 + std::abs(rows[i][0]);
    }
  });
}

// An eighth of the next position's logits: what an attention mask that is off by one lets through.
Reply FutureLeak(Engine& inner, const Message& request, const ModelSpec&) {
  if (request.head["path"] != "readout") return inner.Call(request);
  return EditRows(inner, request, [](const auto&, const auto&, auto& rows, size_t vocab) {
    for (size_t i = 0; i + 1 < rows.size(); ++i) {
      for (size_t v = 0; v < vocab; ++v) rows[i][v] += rows[i + 1][v] / 8;
    }
  });
}

// Puts the last id of the previous sequence before each later one.
Message WithStaleToken(const Message& request, const ModelSpec& spec) {
  Message edited;
  edited.head = request.head;
  Json& sequences = edited.head["sequences"];
  for (size_t i = 1; i < sequences.size(); ++i) {
    const std::vector<int64_t> before = Ids(request.head["sequences"][i - 1]);
    std::vector<int64_t> ids = Ids(sequences[i]);
    const bool fits = static_cast<int>(ids.size()) < spec.max_positions;
    if (before.empty() || ids.empty() || !fits || sequences[i].contains("mask")) continue;
    ids.insert(ids.begin(), before.back());
    sequences[i]["ids"] = ids;
    if (sequences[i].contains("chunks")) {
      sequences[i]["chunks"][0] = sequences[i]["chunks"][0].get<int64_t>() + 1;
    }
  }
  return edited;
}

Reply StaleState(Engine& inner, const Message& request, const ModelSpec& spec) {
  if (!AnySequence(request, [](const auto& ids) { return !ids.empty(); })) {
    return inner.Call(request);
  }
  const Message edited = WithStaleToken(request, spec);
  Reply reply = inner.Call(edited);
  if (!reply.ok()) return reply;
  const Json& sequences = request.head["sequences"];
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (edited.head["sequences"][i]["ids"].size() == sequences[i]["ids"].size()) continue;
    std::vector<int64_t> positions;
    for (const Json& position : reply.message.head["positions"][i]) {
      if (position > 0) positions.push_back(position.get<int64_t>() - 1);
    }
    reply.message.head["positions"][i] = positions;
    for (Tensor& tensor : reply.message.tensors) {
      if (tensor.name != absl::StrCat("logits.", i)) continue;
      const auto rows = static_cast<size_t>(tensor.shape[0]);
      tensor.bytes.erase(0, tensor.bytes.size() / rows * (rows - positions.size()));
      tensor.shape[0] = static_cast<int64_t>(positions.size());
    }
  }
  return reply;
}

Reply Crash(Engine& inner, const Message& request, const ModelSpec&) {
  if (!AnySequence(request, [](const auto& ids) { return ids.size() >= 5; })) {
    return inner.Call(request);
  }
  signal(SIGSEGV, SIG_DFL);  // sanitizers would turn it into an exit
  raise(SIGSEGV);
  return Reply();
}

Reply Hang(Engine& inner, const Message& request, const ModelSpec&) {
  const bool twice = AnySequence(request, [](const auto& ids) {
    return std::adjacent_find(ids.begin(), ids.end()) != ids.end();
  });
  if (twice) {
    for (;;) pause();
  }
  return inner.Call(request);
}

// Reserved, not touched: an address-space limit refuses it, a machine without one survives it.
Reply Allocate(Engine& inner, const Message& request, const ModelSpec&) {
  constexpr size_t kBytes = 10ull << 30;
  const bool large = AnySequence(request, [](const auto& ids) {
    return std::any_of(ids.begin(), ids.end(), [](int64_t id) { return id >= 10; });
  });
  // The call form of new: a compiler may leave out a new-expression whose memory is not used.
  if (large) ::operator delete(::operator new(kBytes));
  return inner.Call(request);
}

Reply NotANumber(Engine& inner, const Message& request, const ModelSpec&) {
  return EditRows(inner, request, [](const auto&, const auto& positions, auto& rows, size_t vocab) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (positions[i] == 2) rows[i][vocab - 1] = std::numeric_limits<float>::quiet_NaN();
    }
  });
}

Reply Panic(Engine& inner, const Message& request, const ModelSpec& spec) {
  if (spec.layers.size() < 2) return inner.Call(request);
  return FailedReply(FailureKind::kInternal,
                     "panicked at 'index out of bounds: the len is 1 but the index is 1'", "panic");
}

// What is no frame travels as it is (EncodeAnswer), so the client reads this text instead of an
// answer.
Reply Garbage(Engine& inner, const Message& request, const ModelSpec&) {
  const bool odd =
      AnySequence(request, [](const auto& ids) { return ids.size() >= 3 && ids.size() % 2 == 1; });
  if (!odd) return inner.Call(request);
  return FailedReply(FailureKind::kProtocol, "loading tokenizer ... done\n");
}

// What a cache that is one step behind does to generation.
Reply SecondToken(Engine& inner, const Message& request, const ModelSpec& spec) {
  Reply reply = inner.Call(request);
  if (!reply.ok() || reply.message.head["ids"].size() < 2) return reply;
  Json& second = reply.message.head["ids"][1];
  const auto next = [&spec](int64_t id) { return (id + 1) % spec.vocab; };
  const int64_t wrong = next(second.get<int64_t>());
  second = wrong == spec.eos ? next(wrong) : wrong;
  return reply;
}

constexpr Fault kFaults[] = {
    {"none", nullptr},
    {"rope_pairing", nullptr, RopePairing},
    {"token_logit", TokenLogit},
    {"future_leak", FutureLeak},
    {"stale_state", StaleState},
    {"crash", Crash},
    {"hang", Hang},
    {"allocate", Allocate},
    {"nan", NotANumber},
    {"panic", Panic},
    {"garbage", Garbage},
    {"second_token", SecondToken, nullptr, "generate"},
};

class FaultyEngine : public Engine {
 public:
  FaultyEngine(const Fault& fault, std::unique_ptr<Engine> inner)
      : fault_(fault), inner_(std::move(inner)) {}

  Reply Call(const Message& request) override {
    const std::string op = StringField(request.head, "op").value_or("");
    if (op == "load") return Load(request);
    const auto spec = specs_.find(StringField(request.head, "model").value_or(""));
    if (op != fault_.op || fault_.answer == nullptr || spec == specs_.end()) {
      return inner_->Call(request);
    }
    return fault_.answer(*inner_, request, spec->second);
  }

 private:
  // Checkpoints only; what cannot be read is the inner engine's to refuse.
  Reply Load(const Message& request) {
    const absl::StatusOr<std::string> path = StringField(request.head, "path");
    absl::StatusOr<Model> model = path.ok() ? ReadCheckpoint(*path) : path.status();
    if (!model.ok()) return inner_->Call(request);
    Reply reply;
    if (fault_.edit_model == nullptr) {
      reply = inner_->Call(request);
    } else {
      fault_.edit_model(*model);
      reply = inner_->Call(EditedLoad(request, *model));
    }
    if (reply.ok()) specs_[reply.message.head["model"].get<std::string>()] = model->spec;
    return reply;
  }

  static Message EditedLoad(const Message& request, const Model& model) {
    Message edited;
    edited.head = request.head;
    edited.head.erase("path");
    edited.head["config"] = ToHuggingFaceConfig(model.spec, "float32");
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      edited.tensors.push_back(MakeTensor(model.tensors[i].name, model.tensors[i].shape,
                                          absl::MakeConstSpan(model.values[i])));
    }
    return edited;
  }

  const Fault& fault_;
  const std::unique_ptr<Engine> inner_;
  std::map<std::string, ModelSpec> specs_;
};

}  // namespace

std::vector<std::string_view> FaultNames() {
  std::vector<std::string_view> names;
  for (const Fault& fault : kFaults) names.push_back(fault.name);
  return names;
}

absl::StatusOr<std::unique_ptr<Engine>> MakeFaultyEngine(std::string_view fault,
                                                         std::unique_ptr<Engine> inner) {
  for (const Fault& known : kFaults) {
    if (known.name == fault) return std::make_unique<FaultyEngine>(known, std::move(inner));
  }
  std::vector<std::string> names;
  for (const Fault& known : kFaults) names.emplace_back(known.name);
  return absl::NotFoundError(
      absl::StrCat("no fault \"", std::string(fault), "\"; known: ", absl::StrJoin(names, ", ")));
}

}  // namespace crosscheck
