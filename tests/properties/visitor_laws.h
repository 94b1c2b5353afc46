// The laws of a subject's interpreters, each stated once for all subjects. A law returns "" or its
// first violation.
//
// Laws call the functions of the Subject they are given, so a test can hand in a broken one and see
// the law fail.
#ifndef CROSSCHECK_TESTS_PROPERTIES_VISITOR_LAWS_H_
#define CROSSCHECK_TESTS_PROPERTIES_VISITOR_LAWS_H_

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "properties/fields.h"
#include "properties/subject.h"
#include "properties/visitors/write.h"

namespace crosscheck {

// 10^4; CROSSCHECK_LAW_CASES=1000000 for the long run.
inline int LawCases() {
  const char* text = std::getenv("CROSSCHECK_LAW_CASES");
  return text == nullptr ? 10'000 : std::atoi(text);
}

// The default space, a wide one with all options, and a narrow one; in turn.
inline Limits LawLimits(int i) {
  if (i % 3 == 0) return {};
  if (i % 3 == 1) return {.max_positions = 600, .masks = true, .chunked_prefill = true};
  return {.max_layers = 2,
          .max_hidden = 5,
          .max_heads = 2,
          .max_head_dim = 3,
          .max_vocab = 3,
          .max_intermediate = 2,
          .max_sequences = 1,
          .max_tokens = 7,
          .max_generated = 1,
          .reduced_storage = false};
}

inline Case LawCase(const Subject& subject, int i) {
  Stream stream(static_cast<uint64_t>(i), "visitor_laws");
  return subject.random(stream, LawLimits(i));
}

// Random bytes of every length up to 600, small values as frequent as large ones.
inline std::string JunkBytes(int i) {
  Stream stream(static_cast<uint64_t>(i), "junk");
  std::string bytes(static_cast<size_t>(stream.Int(0, 600)), '\0');
  const int64_t largest = stream.OneIn(2) ? 255 : stream.Int(1, 255);
  for (char& byte : bytes) byte = static_cast<char>(stream.Int(0, largest));
  return bytes;
}

inline Case ReadString(const Subject& subject, const std::string& bytes, const Limits& limits) {
  return subject.read(Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), limits);
}

inline std::string ReadOfWriteIsTheCase(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const Case c = LawCase(subject, i);
    const Case again = ReadString(subject, subject.write(c), LawLimits(i));
    if (!subject.equal(again, c))
      return absl::StrCat("case ", i, "\n", subject.print(c), "\n", subject.print(again));
  }
  return "";
}

inline std::string WriteOfReadIsAFixpoint(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const Case c = ReadString(subject, JunkBytes(i), LawLimits(i));
    const std::string bytes = subject.write(c);
    if (subject.write(ReadString(subject, bytes, LawLimits(i))) != bytes)
      return absl::StrCat("junk ", i);
    if (!subject.equal(subject.clamp(c, LawLimits(i)), c))
      return absl::StrCat("illegal from junk ", i);
  }
  return "";
}

inline std::string ParseOfPrintIsTheCase(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const Case c = LawCase(subject, i);
    const std::string text = subject.print(c);
    const absl::StatusOr<Case> again = subject.parse(text);
    if (!again.ok()) return absl::StrCat("case ", i, ": ", again.status().ToString(), "\n", text);
    if (!subject.equal(*again, c))
      return absl::StrCat("case ", i, "\n", text, "\n", subject.print(*again));
  }
  return "";
}

inline std::string ClampKeepsLegalCases(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const Case c = LawCase(subject, i);
    if (!subject.equal(subject.clamp(c, LawLimits(i)), c))
      return absl::StrCat("case ", i, "\n", subject.print(c));
    const Case narrow = subject.clamp(c, LawLimits(2));
    if (!subject.equal(subject.clamp(narrow, LawLimits(2)), narrow))
      return absl::StrCat("clamped twice: case ", i);
  }
  return "";
}

inline std::string ZeroBytesAreTheSimplestCase(const Subject& subject) {
  for (int i = 0; i < 3; ++i) {
    const Case simplest = ReadString(subject, "", LawLimits(i));
    if (!subject.equal(ReadString(subject, std::string(1000, '\0'), LawLimits(i)), simplest))
      return "zeros differ";
    if (!subject.shrink(simplest).empty())
      return "something is smaller\n" + subject.print(subject.shrink(simplest)[0]);
    const absl::StatusOr<Case> empty = subject.parse("");
    if (!empty.ok() || !subject.equal(*empty, simplest)) return "empty text is another case";
  }
  return "";
}

inline std::string TrailingAndMissingBytesAreZero(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const std::string bytes = subject.write(LawCase(subject, i));
    const Case c = ReadString(subject, bytes, LawLimits(i));
    if (!subject.equal(ReadString(subject, bytes + JunkBytes(i), LawLimits(i)), c))
      return absl::StrCat("tail ", i);
    const std::string prefix = bytes.substr(0, bytes.size() * static_cast<size_t>(i % 11) / 11);
    const Case filled = ReadString(subject, prefix + std::string(4000, '\0'), LawLimits(i));
    if (!subject.equal(ReadString(subject, prefix, LawLimits(i)), filled))
      return absl::StrCat("prefix ", i);
  }
  return "";
}

inline std::string ShrinkCandidatesAreLegalAndSmaller(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    const Case c = LawCase(subject, i);
    const std::string bytes = subject.write(c);
    for (const Case& smaller : subject.shrink(c)) {
      if (!SmallerBytes(subject.write(smaller), bytes))
        return absl::StrCat("not smaller\n", subject.print(smaller));
      if (!subject.equal(subject.clamp(smaller, LawLimits(i)), smaller)) {
        return absl::StrCat("illegal\n", subject.print(c), "\n", subject.print(smaller));
      }
    }
  }
  return "";
}

// Whatever is accepted, shrinking ends, and the one case without candidates is the simplest.
inline std::string ShrinkingEndsAtTheSimplestCase(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    Case c = LawCase(subject, i);
    Stream stream(static_cast<uint64_t>(i), "accept");
    const bool last = i % 2 == 0;  // the last candidates are the smallest steps
    int steps = 0;
    for (auto smaller = subject.shrink(c); !smaller.empty(); smaller = subject.shrink(c)) {
      const auto size = static_cast<int64_t>(smaller.size());
      c = smaller[static_cast<size_t>(last ? stream.Int(size / 2, size - 1)
                                           : stream.Int(0, size - 1))];
      if (++steps > 20'000) return absl::StrCat("case ", i, " does not end");
    }
    if (!subject.equal(c, ReadString(subject, "", LawLimits(i))))
      return absl::StrCat("ends at\n", subject.print(c));
  }
  return "";
}

// Notes for every field, by name, whether its lowest and its highest legal value were seen.
class BoundsVisitor final : public FieldVisitor {
 public:
  struct Seen {
    bool lowest = false, highest = false;
  };
  const std::map<std::string, Seen>& seen() const { return seen_; }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override {
    Note(path_ + std::string(field.name), index == 0, index == field.max_index);
    return index;
  }
  ListPlan BeginList(const ListField& field) override {
    const bool full =
        field.size == field.range.max || (field.range.more && field.size > field.range.min);
    Note(path_ + std::string(field.name) + " length", field.size == field.range.min, full);
    return {.length = field.size};
  }
  void BeginElement(const ListField& field, size_t) override { Push(field.name); }
  void EndElement(const ListField&) override { Pop(); }
  void BeginGroup(std::string_view name, bool) override { Push(name); }
  void EndGroup() override { Pop(); }

 private:
  void Note(const std::string& name, bool lowest, bool highest) {
    seen_[name].lowest |= lowest;
    seen_[name].highest |= highest;
  }
  void Push(std::string_view name) {
    lengths_.push_back(path_.size());
    path_.append(name).append(".");
  }
  void Pop() {
    path_.resize(lengths_.back());
    lengths_.pop_back();
  }
  std::string path_;
  std::vector<size_t> lengths_;
  std::map<std::string, Seen> seen_;
};

// Within 10,000 draws.
inline std::string RandomReachesBothBoundsOfEveryField(const Subject& subject) {
  for (int limits = 0; limits < 3; ++limits) {
    BoundsVisitor bounds;
    for (int i = 0; i < 10'000; ++i) {
      Stream stream(static_cast<uint64_t>(i), "bounds");
      subject.visit(subject.random(stream, LawLimits(limits)), bounds, LawLimits(limits));
    }
    for (const auto& [name, seen] : bounds.seen()) {
      if (!seen.lowest) return absl::StrCat(name, ": lowest value never drawn, limits ", limits);
      if (!seen.highest) return absl::StrCat(name, ": highest value never drawn, limits ", limits);
    }
  }
  return "";
}

inline std::string NamesOfFieldsAreUnique(const Subject& subject, int cases) {
  for (int i = 0; i < cases; ++i) {
    std::map<std::string, int> names;
    for (const auto& [name, value] : subject.fields(LawCase(subject, i))) {
      if (++names[name] > 1) return name;
    }
  }
  return "";
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_PROPERTIES_VISITOR_LAWS_H_
