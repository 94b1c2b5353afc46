#include "engines/answer_check.h"

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosscheck {
namespace {

constexpr int64_t kAny = -1;

std::string Wrong(const std::string& field, const std::string& expected, const std::string& got) {
  return absl::StrCat(field, ", expected ", expected, ", got ", got.substr(0, 80));
}

std::string Shape(const std::vector<int64_t>& shape) {
  return absl::StrCat(
      "[",
      absl::StrJoin(shape, ", ",
                    [](std::string* out, int64_t size) {
                      absl::StrAppend(out, size == kAny ? std::string("any") : absl::StrCat(size));
                    }),
      "]");
}

const Json& Field(const Json& head, const char* name) {
  static const Json* const missing = new Json();
  const auto found = head.find(name);
  return found == head.end() ? *missing : *found;
}

std::string CheckType(const Json& head, const char* name, Json::value_t type) {
  const Json& value = Field(head, name);
  if (value.type() == type ||
      (type == Json::value_t::number_integer && value.is_number_integer())) {
    return "";
  }
  return Wrong(name, Json(type).type_name(), value.is_null() ? "nothing" : value.type_name());
}

std::string CheckTypes(const Json& head,
                       std::initializer_list<std::pair<const char*, Json::value_t>> fields) {
  for (const auto& [name, type] : fields) {
    if (std::string error = CheckType(head, name, type); !error.empty()) return error;
  }
  return "";
}

std::string CheckTensor(const Message& answer, const std::string& name,
                        const std::vector<int64_t>& shape) {
  const Tensor* tensor = answer.Find(name);
  if (tensor == nullptr) return Wrong(name, "a tensor", "none");
  if (tensor->dtype != DType::kF32 && tensor->dtype != DType::kF64) {
    return Wrong(name + " dtype", "F32 or F64",
                 std::string(kDTypeNames[static_cast<int>(tensor->dtype)]));
  }
  bool same = tensor->shape.size() == shape.size();
  for (size_t i = 0; same && i < shape.size(); ++i) {
    same = shape[i] == kAny || shape[i] == tensor->shape[i];
  }
  return same ? "" : Wrong(name + " shape", Shape(shape), Shape(tensor->shape));
}

int64_t Length(const Json& request) { return static_cast<int64_t>(Field(request, "ids").size()); }

// The first and the largest allowed number of answered positions of one sequence: [first_at_most,
// last].
std::string CheckPositions(const Json& sequence, const std::string& path, const Json& positions,
                           const std::string& name) {
  const int64_t last = Length(sequence) - 1;
  int64_t first = path == "readout" ? 0 : last;
  if (path == "session" && sequence.contains("chunks")) {
    first = -1;
    for (const Json& chunk : sequence["chunks"]) {
      first += chunk.is_number_integer() ? chunk.get<int64_t>() : 0;
    }
  }
  int64_t before = -1;
  for (const Json& position : positions) {
    if (!position.is_number_integer()) return Wrong(name, "integers", position.dump());
    const int64_t at = position.get<int64_t>();
    if (at <= before || at > last) {
      return Wrong(name, absl::StrCat("ascending up to ", last), positions.dump());
    }
    before = at;
  }
  const auto answered = static_cast<int64_t>(positions.size());
  const bool complete = answered >= last - first + 1 && positions.back() == last &&
                        positions[static_cast<size_t>(answered - (last - first + 1))] == first;
  return complete ? ""
                  : Wrong(name, absl::StrCat("all of ", first, " to ", last), positions.dump());
}

std::string CheckLogits(const Json& request, const Message& answer, int vocab) {
  if (std::string error = CheckTypes(
          answer.head, {{"positions", Json::value_t::array}, {"counters", Json::value_t::object}});
      !error.empty()) {
    return error;
  }
  const Json& sequences = Field(request, "sequences");
  const Json& positions = Field(answer.head, "positions");
  if (positions.size() != sequences.size()) {
    return Wrong("positions", absl::StrCat(sequences.size(), " lists"),
                 absl::StrCat(positions.size()));
  }
  const Json& path = Field(request, "path");
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::string name = absl::StrCat("positions[", i, "]");
    if (!positions[i].is_array()) return Wrong(name, "array", positions[i].type_name());
    std::string error = CheckPositions(
        sequences[i], path.is_string() ? path.get<std::string>() : "", positions[i], name);
    if (error.empty()) {
      error = CheckTensor(answer, absl::StrCat("logits.", i),
                          {static_cast<int64_t>(positions[i].size()), vocab == 0 ? kAny : vocab});
    }
    if (!error.empty()) return error;
  }
  return "";
}

std::string CheckGenerate(const Json& request, const Message& answer, int vocab) {
  std::string error = CheckTypes(answer.head, {{"ids", Json::value_t::array},
                                               {"stop", Json::value_t::string},
                                               {"counters", Json::value_t::object}});
  if (!error.empty()) return error;
  for (const Json& id : answer.head["ids"]) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        (vocab > 0 && id.get<int64_t>() >= vocab)) {
      return Wrong("ids", absl::StrCat("ids below ", vocab), id.dump());
    }
  }
  const Json& limit = Field(request, "max_tokens");
  if (limit.is_number_integer() && Length(answer.head) > limit.get<int64_t>()) {
    return Wrong("ids", absl::StrCat("at most ", limit.dump()), absl::StrCat(Length(answer.head)));
  }
  if (Field(request, "logprobs") == true) {
    error = CheckTensor(answer, "logprobs", {Length(answer.head)});
    if (!error.empty()) return error;
  }
  if (Field(request, "stream") == true) {
    error = CheckType(answer.head, "streamed", Json::value_t::array);
    if (!error.empty()) return error;
  }
  const Json& stop = answer.head["stop"];
  const bool known = stop == "length" || stop == "eos" || stop == "stop";
  return known ? "" : Wrong("stop", "length, eos or stop", stop.dump());
}

std::string CheckProgram(const Json& request, const Message& answer, int vocab) {
  std::string error = CheckTypes(
      answer.head, {{"steps", Json::value_t::array}, {"counters", Json::value_t::object}});
  if (!error.empty()) return error;
  const Json& steps = answer.head["steps"];
  const size_t expected = Field(request, "steps").size();
  if (steps.size() != expected) {
    return Wrong("steps", absl::StrCat(expected), absl::StrCat(steps.size()));
  }
  for (const Json& step : steps) {
    error = step.is_object() ? CheckType(step, "ok", Json::value_t::boolean)
                             : Wrong("steps", "objects", step.dump());
    if (!error.empty()) return error;
  }
  for (const Tensor& tensor : answer.tensors) {
    error = CheckTensor(answer, tensor.name, {kAny, vocab == 0 ? kAny : vocab});
    if (!error.empty()) return error;
  }
  return "";
}

std::string CheckTaps(const Message& answer) {
  for (const Tensor& tensor : answer.tensors) {
    std::string error =
        CheckTensor(answer, tensor.name, std::vector<int64_t>(tensor.shape.size(), kAny));
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace

std::string CheckAnswer(const Json& request, const Message& answer, int vocab) {
  const Json& op = Field(request, "op");
  if (op == "hello") {
    if (Field(answer.head, "protocol") != 1) {
      return Wrong("protocol", "1", Field(answer.head, "protocol").dump());
    }
    return CheckTypes(answer.head, {{"name", Json::value_t::string},
                                    {"version", Json::value_t::string},
                                    {"build", Json::value_t::string},
                                    {"extensions", Json::value_t::array},
                                    {"environment", Json::value_t::object},
                                    {"limits", Json::value_t::object}});
  }
  if (op == "load") {
    return CheckTypes(answer.head, {{"model", Json::value_t::string},
                                    {"vocab", Json::value_t::number_integer},
                                    {"context", Json::value_t::number_integer},
                                    {"paths", Json::value_t::array},
                                    {"echo", Json::value_t::object}});
  }
  if (op == "logits") return CheckLogits(request, answer, vocab);
  if (op == "nll") return CheckTensor(answer, "nll", {Length(request) - 1});
  if (op == "hidden") return CheckTensor(answer, "hidden", {Length(request), kAny});
  if (op == "taps") return CheckTaps(answer);
  if (op == "generate") return CheckGenerate(request, answer, vocab);
  if (op == "draw" || op == "invert") {
    return CheckTypes(answer.head, {{"tokens", Json::value_t::array},
                                    {"order", Json::value_t::string},
                                    {"counters", Json::value_t::object}});
  }
  if (op == "program") return CheckProgram(request, answer, vocab);
  return "";
}

}  // namespace crosscheck
