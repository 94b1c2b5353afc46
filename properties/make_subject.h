// MakeSubject<T>(): the erased Subject of a struct, made from its field visitor.
//
// What the author of a subject T writes, in the namespace of T:
//   static constexpr std::string_view T::kSubjectName;
//   bool operator==(const T&, const T&);
//   void Visit(FieldVisitor& v, const Limits& limits, T& c);      // properties/fields.h
//   std::vector<std::string> Labels(const T& c);                  // words for coverage quotas
#ifndef CROSSCHECK_PROPERTIES_MAKE_SUBJECT_H_
#define CROSSCHECK_PROPERTIES_MAKE_SUBJECT_H_

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "properties/fields.h"
#include "properties/subject.h"
#include "properties/visitors/clamp.h"
#include "properties/visitors/random.h"
#include "properties/visitors/read.h"
#include "properties/visitors/shrink.h"
#include "properties/visitors/text.h"
#include "properties/visitors/write.h"

namespace crosscheck {

template <class T>
T VisitedBy(FieldVisitor& visitor, const Limits& limits, T value) {
  Visit(visitor, limits, value);
  return value;
}

template <class T>
std::string WriteFields(T value) {
  WriteVisitor visitor;
  Visit(visitor, kWidestLimits, value);
  return visitor.TakeBytes();
}

template <class T>
std::string PrintFields(const T& value) {
  PrintVisitor visitor;
  VisitedBy(visitor, kWidestLimits, value);
  return absl::StrCat("subject = ", std::string(T::kSubjectName), "\n", visitor.TakeText());
}

template <class T>
absl::StatusOr<T> ParseFields(std::string_view text) {
  ParseVisitor visitor(text);
  visitor.Header("subject", T::kSubjectName);
  T value = VisitedBy(visitor, kWidestLimits, T{});
  if (absl::Status status = visitor.status(); !status.ok()) return status;
  return value;
}

template <class T>
std::vector<T> ShrinkFields(const T& value) {
  ShrinkSurvey survey;
  VisitedBy(survey, kWidestLimits, value);
  const std::string bytes = WriteFields(value);
  std::set<std::string> seen;
  std::vector<T> smaller;
  for (const ShrinkEdit& edit : survey.Edits()) {
    ShrinkEditVisitor visitor(edit, survey);
    T candidate = VisitedBy(visitor, kWidestLimits, value);
    WriteVisitor writer;
    Visit(writer, kWidestLimits, candidate);  // a legal case: nothing changes
    std::string candidate_bytes = writer.TakeBytes();
    if (!SmallerBytes(candidate_bytes, bytes)) continue;
    if (seen.insert(std::move(candidate_bytes)).second) smaller.push_back(std::move(candidate));
  }
  return smaller;
}

template <class T>
const Subject& MakeSubject() {
  static const Subject subject{
      .name = T::kSubjectName,
      .random =
          [](Stream& stream, const Limits& limits) {
            RandomVisitor visitor(stream);
            return Case(MakeSubject<T>(), VisitedBy(visitor, limits, T{}));
          },
      .read =
          [](Bytes bytes, const Limits& limits) {
            ReadVisitor visitor(bytes);
            return Case(MakeSubject<T>(), VisitedBy(visitor, limits, T{}));
          },
      .write = [](const Case& c) { return WriteFields(c.As<T>()); },
      .print = [](const Case& c) { return PrintFields(c.As<T>()); },
      .parse = [](std::string_view text) -> absl::StatusOr<Case> {
        absl::StatusOr<T> value = ParseFields<T>(text);
        if (!value.ok()) return value.status();
        return Case(MakeSubject<T>(), *std::move(value));
      },
      .clamp =
          [](const Case& c, const Limits& limits) {
            ClampVisitor visitor;
            return Case(MakeSubject<T>(), VisitedBy(visitor, limits, c.As<T>()));
          },
      .shrink =
          [](const Case& c) {
            std::vector<Case> cases;
            for (T& smaller : ShrinkFields(c.As<T>()))
              cases.emplace_back(MakeSubject<T>(), std::move(smaller));
            return cases;
          },
      .equal = [](const Case& a,
                  const Case& b) { return &a.subject() == &b.subject() && a.As<T>() == b.As<T>(); },
      .fields =
          [](const Case& c) {
            NamedValuesVisitor visitor;
            VisitedBy(visitor, kWidestLimits, c.As<T>());
            return visitor.TakeValues();
          },
      .visit =
          [](const Case& c, FieldVisitor& visitor, const Limits& limits) {
            return Case(MakeSubject<T>(), VisitedBy(visitor, limits, c.As<T>()));
          },
      .labels = [](const Case& c) { return Labels(c.As<T>()); },
  };
  return subject;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_MAKE_SUBJECT_H_
