#include "properties/visitors/shrink.h"

#include <algorithm>
#include <set>

namespace crosscheck {
namespace {

constexpr uint64_t kSmallSeeds = 4;

}  // namespace

uint64_t ShrinkSurvey::Scalar(const ScalarField& field, uint64_t index) {
  if (field.descending) distances_.push_back(index);
  scalars_.push_back({index, field.phase, in_list_, field.seed});
  return index;
}

ListPlan ShrinkSurvey::BeginList(const ListField& field) {
  lists_.push_back(
      {field.size, field.range.min, field.range.phase, field.scalars, scalars_.size()});
  in_list_ = field.scalars;
  return {.length = field.size};
}

void ShrinkSurvey::EndList(const ListField&, const ListPlan&, size_t) { in_list_ = false; }

// Fields outside lists, half of them, a quarter, …; LowerScalars tries each alone.
void ShrinkSurvey::ClearScalars(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  std::vector<size_t> sites;
  for (size_t site = 0; site < scalars_.size(); ++site) {
    const ScalarSite& scalar = scalars_[site];
    if (scalar.phase == phase && scalar.index > 0 && !scalar.in_list) sites.push_back(site);
  }
  for (size_t count = sites.size(); count > 1; count = (count + 1) / 2) {
    for (size_t from = 0; from + 1 < sites.size(); from += count) {
      const size_t last = std::min(from + count, sites.size()) - 1;
      edits.push_back({.first = sites[from], .last = sites[last] + 1, .phase = phase});
    }
    if (count == 2) break;
  }
}

void ShrinkSurvey::DeleteChunks(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  for (size_t list = 0; list < lists_.size(); ++list) {
    const ListSite& site = lists_[list];
    if (site.phase != phase || site.size <= site.min) continue;
    for (size_t count = site.size - site.min; count > 0; count /= 2) {
      // Later elements first: a prefix of a sequence is most often what matters.
      for (size_t end = site.size; end > 0; end -= std::min(end, count)) {
        const size_t from = end - std::min(end, count);
        edits.push_back({.list = list, .from = from, .count = end - from});
      }
      if (count == site.size - site.min && site.min > 0) {
        edits.push_back(
            {.list = list, .from = 0, .count = count});  // the other end of what may stay
      }
    }
  }
}

void ShrinkSurvey::ClearChunks(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  for (const ListSite& site : lists_) {
    if (!site.scalars || site.size == 0 || scalars_[site.first].phase != phase) continue;
    for (size_t count = site.size; count > 0; count /= 2) {
      for (size_t from = 0; from < site.size; from += count) {
        const size_t last = std::min(from + count, site.size);
        const auto begin = scalars_.begin() + static_cast<std::ptrdiff_t>(site.first);
        const bool clear = std::all_of(begin + static_cast<std::ptrdiff_t>(from),
                                       begin + static_cast<std::ptrdiff_t>(last),
                                       [](const ScalarSite& scalar) { return scalar.index == 0; });
        if (!clear) edits.push_back({.first = site.first + from, .last = site.first + last});
      }
    }
  }
}

void ShrinkSurvey::LowerScalars(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  const auto set = [&edits](size_t site, uint64_t index) {
    edits.push_back({.first = site, .last = site + 1, .index = index});
  };
  for (size_t site = 0; site < scalars_.size(); ++site) {
    const uint64_t index = scalars_[site].index;
    if (scalars_[site].phase != phase || index == 0) continue;
    if (scalars_[site].seed) {
      // Seeds have no neighbourhood: a few small ones, not halves.
      for (uint64_t seed = 0; seed < std::min(index, kSmallSeeds); ++seed) set(site, seed);
      continue;
    }
    if (!scalars_[site].in_list) {
      set(site, 0);
      for (uint64_t distance = index / 2; distance > 1; distance /= 2) set(site, index - distance);
    } else if (index > 3) {
      set(site, index / 2);  // ClearChunks has tried 0
    }
    if (index > 1) set(site, index - 1);
  }
}

void ShrinkSurvey::UnifyValues(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  for (const ListSite& site : lists_) {
    if (!site.scalars || site.size < 2 || scalars_[site.first].phase != phase) continue;
    std::set<uint64_t> values;
    for (size_t i = 0; i < site.size; ++i) values.insert(scalars_[site.first + i].index);
    for (auto value = values.begin(); std::next(value) != values.end(); ++value) {
      edits.push_back({.first = site.first,
                       .last = site.first + site.size,
                       .match = *std::next(value),
                       .index = *value});
    }
  }
}

void ShrinkSurvey::AppendEdits(ShrinkPhase phase, std::vector<ShrinkEdit>& edits) const {
  edits.push_back({.last = ShrinkEdit::kNone, .phase = phase, .trim_lists = true});
  ClearScalars(phase, edits);
  DeleteChunks(phase, edits);
  ClearChunks(phase, edits);
  UnifyValues(phase, edits);
  LowerScalars(phase, edits);
}

std::vector<ShrinkEdit> ShrinkSurvey::Edits() const {
  std::vector<ShrinkEdit> edits;
  for (const ShrinkPhase phase : {ShrinkPhase::kMates, ShrinkPhase::kSteps, ShrinkPhase::kLength,
                                  ShrinkPhase::kConfiguration, ShrinkPhase::kDimensions}) {
    AppendEdits(phase, edits);
  }
  if (std::ranges::any_of(distances_, [](uint64_t index) { return index > 0; })) {
    const size_t structural = edits.size();
    for (size_t i = 0; i < structural; ++i) {
      edits.push_back(edits[i]);
      edits.back().keep_distances = true;
    }
  }
  AppendEdits(ShrinkPhase::kValues, edits);
  AppendWithOtherSeeds(edits);
  return edits;
}

void ShrinkSurvey::AppendWithOtherSeeds(std::vector<ShrinkEdit>& edits) const {
  if (std::ranges::none_of(scalars_, &ScalarSite::seed)) return;
  std::vector<ShrinkEdit> shapes;
  for (const ShrinkPhase phase :
       {ShrinkPhase::kLength, ShrinkPhase::kConfiguration, ShrinkPhase::kDimensions}) {
    DeleteChunks(phase, shapes);
    LowerScalars(phase, shapes);
  }
  for (uint64_t seed = 0; seed < kSmallSeeds; ++seed) {
    for (const ShrinkEdit& shape : shapes) {
      edits.push_back(shape);
      edits.back().seed = seed;
    }
  }
}

uint64_t ShrinkEditVisitor::Scalar(const ScalarField& field, uint64_t index) {
  const size_t site = next_scalar_++;
  if (field.seed && edit_.seed.has_value()) return *edit_.seed;
  if (field.descending && edit_.keep_distances && next_distance_ < distances_.size()) {
    return std::min(distances_[next_distance_++], field.max_index);
  }
  if (site < edit_.first || site >= edit_.last) return index;
  if (edit_.phase.has_value() && field.phase != *edit_.phase) return index;
  if (edit_.match != ShrinkEdit::kAny && edit_.match != index) return index;
  return std::min(edit_.index, field.max_index);
}

ListPlan ShrinkEditVisitor::BeginList(const ListField& field) {
  const size_t list = next_list_++;
  if (edit_.trim_lists && edit_.phase == field.range.phase) {
    const size_t kept = std::min(field.size, field.range.min);
    return {.length = kept, .erase_from = kept, .erase_count = field.size - kept};
  }
  if (list != edit_.list) return {.length = field.size};
  return {.length = field.size - edit_.count, .erase_from = edit_.from, .erase_count = edit_.count};
}

}  // namespace crosscheck
