// A second subject, for tests only, that is no model: nested lists, an operation program with a
// swarm mask, a table float, a tensor. What works on it without a change elsewhere works on every
// future subject.
#ifndef CROSSCHECK_TESTS_PROPERTIES_TOY_SUBJECT_H_
#define CROSSCHECK_TESTS_PROPERTIES_TOY_SUBJECT_H_

#include <algorithm>
#include <string>
#include <vector>

#include "properties/make_subject.h"

namespace crosscheck {

enum class ToyOperationKind { kPush, kPop, kFork };
inline constexpr std::string_view kToyOperationKindNames[] = {"push", "pop", "fork"};

struct ToyOperation {
  ToyOperationKind kind = ToyOperationKind::kPush;
  int32_t row = 0;  // which of the rows it works on
  int32_t count = 0;
  bool operator==(const ToyOperation&) const = default;
};

struct ToyCase {
  static constexpr std::string_view kSubjectName = "toy";
  int32_t height = 0, width = 0;
  std::vector<int32_t> tensor;  // [height, width], row-major
  std::vector<std::vector<int32_t>> rows;
  int32_t swarm = 0;  // bits: 1 enables pop, 2 enables fork
  std::vector<ToyOperation> program;
  double temperature = 1;
  uint64_t seed = 0;
  bool operator==(const ToyCase&) const = default;
};

inline constexpr double kToyTemperatures[] = {1, 0, 1e-6, 0.7, 2, 1e30};

inline void VisitToyProgram(FieldVisitor& v, const Limits& limits, ToyCase& c) {
  std::vector<ToyOperationKind> enabled = {ToyOperationKind::kPush};
  if ((c.swarm & 1) != 0) enabled.push_back(ToyOperationKind::kPop);
  if ((c.swarm & 2) != 0) enabled.push_back(ToyOperationKind::kFork);
  const ListRange range{.max = static_cast<size_t>(std::min(limits.max_tokens, 40)),
                        .typical = 8,
                        .interesting = {15, 16, 17},
                        .phase = ShrinkPhase::kSteps};
  v.List("program", c.program, range, [&](FieldVisitor& e, ToyOperation& operation) {
    e.Enum("kind", operation.kind, kToyOperationKindNames, {.values = enabled});
    e.Int("row", operation.row, {.lo = 0, .hi = static_cast<int64_t>(c.rows.size()) - 1});
    e.Int("count", operation.count,
          {.lo = 1, .hi = 300, .interesting = {255, 256}, .phase = ShrinkPhase::kValues});
  });
}

inline void Visit(FieldVisitor& v, const Limits& limits, ToyCase& c) {
  v.Shared("tensor", [&] {
    v.Int("height", c.height, {.lo = 1, .hi = limits.max_heads});
    v.Int("width", c.width, {.lo = c.height, .hi = 3 * c.height, .step = c.height});
    const auto size = static_cast<size_t>(c.height) * static_cast<size_t>(c.width);
    v.List("values", c.tensor, {.min = size, .max = size}, [](FieldVisitor& e, int32_t& x) {
      e.Int("value", x, {.lo = 0, .hi = 9, .phase = ShrinkPhase::kValues});
    });
  });
  v.List("rows", c.rows, {.min = 1, .max = 4, .phase = ShrinkPhase::kMates},
         [](FieldVisitor& e, std::vector<int32_t>& row) {
           e.List("", row, {.max = 5, .repeats = true}, [](FieldVisitor& f, int32_t& x) {
             f.Int("x", x, {.lo = -3, .hi = 3, .phase = ShrinkPhase::kValues});
           });
         });
  v.Int("swarm", c.swarm, {.lo = 0, .hi = 3, .phase = ShrinkPhase::kConfiguration});
  VisitToyProgram(v, limits, c);
  v.Table("temperature", c.temperature, kToyTemperatures);
  v.U64("seed", c.seed);
}

inline std::vector<std::string> Labels(const ToyCase& c) {
  std::vector<std::string> labels;
  if (c.program.empty()) labels.emplace_back("empty_program");
  for (const ToyOperation& operation : c.program) {
    if (operation.kind == ToyOperationKind::kFork) return {"fork"};
  }
  return labels;
}

inline const Subject& ToySubject() { return MakeSubject<ToyCase>(); }

// All subjects that laws hold for.
inline std::vector<const Subject*> LawSubjects() {
  std::vector<const Subject*> subjects = Subjects();
  subjects.push_back(&ToySubject());
  return subjects;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_PROPERTIES_TOY_SUBJECT_H_
