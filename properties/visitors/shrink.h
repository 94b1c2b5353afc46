// Shrink interpreter: all cases one step smaller, in the order in which a minimiser should try
// them.
//
// Order (judging.md 6): batch mates, steps, length, configuration, dimensions, values. Within a
// phase: everything at once, then chunks of lists (n, n/2, … 1), then each field to its minimum and
// towards it by halves. Then
//  - the edits in front of the values with fields that count from an upper bound (a chunk of a
//    prompt: one token less than all) where they are relative to it, so that a shorter prompt still
//    ends in one step;
//  - last, fewer tokens and layers and smaller dimensions with other seeds: another shape draws
//    other weights, and the few of a tiny model may hide the defect.
// An edit may force later fields to change; what is not smaller in the order of canonical bytes
// after that is dropped, so that shrinking ends.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_SHRINK_H_
#define CROSSCHECK_PROPERTIES_VISITORS_SHRINK_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "properties/fields.h"

namespace crosscheck {

// One change. Sites count the scalars and, apart, the lists of a case in the order of the visit.
struct ShrinkEdit {
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();
  static constexpr uint64_t kAny = std::numeric_limits<uint64_t>::max();

  size_t list = kNone;  // delete `count` elements from `from`
  size_t from = 0, count = 0;
  // Or set the scalars first..last-1, of one phase if given, that are `match` to `index`.
  size_t first = 0, last = 0;
  std::optional<ShrinkPhase> phase = std::nullopt;
  uint64_t match = kAny;
  uint64_t index = 0;
  bool trim_lists = false;                      // also cut the lists of the phase to their shortest
  std::optional<uint64_t> seed = std::nullopt;  // also gives every seed this value
  bool keep_distances = false;  // descending fields keep their distance from the new upper bound
};

// Notes every field of a case and proposes edits.
class ShrinkSurvey final : public FieldVisitor {
 public:
  std::vector<ShrinkEdit> Edits() const;
  // Indices of the descending fields in the order of the visit.
  const std::vector<uint64_t>& distances() const { return distances_; }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;
  void EndList(const ListField& field, const ListPlan& plan, size_t size) override;

 private:
  struct ScalarSite {
    uint64_t index;
    ShrinkPhase phase;
    bool in_list;  // element of a list of scalars
    bool seed;
  };
  struct ListSite {
    size_t size, min;
    ShrinkPhase phase;
    bool scalars;
    size_t first;  // scalar site of its first element
  };
  void ClearScalars(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void DeleteChunks(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void ClearChunks(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void LowerScalars(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void UnifyValues(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void AppendEdits(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const;
  void AppendWithOtherSeeds(std::vector<ShrinkEdit>& edits) const;

  std::vector<ScalarSite> scalars_;
  std::vector<ListSite> lists_;
  std::vector<uint64_t> distances_;
  bool in_list_ = false;
};

// Applies one edit and brings everything after it into range.
class ShrinkEditVisitor final : public FieldVisitor {
 public:
  ShrinkEditVisitor(const ShrinkEdit& edit, const ShrinkSurvey& survey)
      : edit_(edit), distances_(survey.distances()) {}

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;

 private:
  const ShrinkEdit& edit_;
  const std::vector<uint64_t>& distances_;
  size_t next_scalar_ = 0;
  size_t next_list_ = 0;
  size_t next_distance_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_SHRINK_H_
