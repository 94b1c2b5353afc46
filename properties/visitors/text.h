// Text interpreters: `name = value` lines, '#' starts a comment, any order.
//
// A list of scalars is one line (`ids = 3 1 4`), other lists number their elements
// (`sequences.0.ids = …`). A key that is missing takes the simplest value. Unknown and repeated
// keys, malformed and illegal values are errors that begin with `line:column: `.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_TEXT_H_
#define CROSSCHECK_PROPERTIES_VISITORS_TEXT_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "properties/fields.h"

namespace crosscheck {

// Composes names of nested fields: "sequences.0.ids".
class FieldPath {
 public:
  void Push(std::string_view name);
  void Pop();
  std::string Join(std::string_view name) const;

 private:
  std::string path_;
  std::vector<size_t> lengths_;
};

class PrintVisitor final : public FieldVisitor {
 public:
  std::string TakeText() { return std::move(text_); }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;
  void EndList(const ListField& field, const ListPlan& plan, size_t size) override;
  void BeginElement(const ListField& field, size_t index) override;
  void EndElement(const ListField& field) override;
  void BeginGroup(std::string_view name, bool) override { path_.Push(name); }
  void EndGroup() override { path_.Pop(); }

 private:
  FieldPath path_;
  bool inline_list_ = false;
  std::string text_;
};

// Every value under its text name; a list gives its length under its own name and its elements as
// name.0, name.1, …
class NamedValuesVisitor final : public FieldVisitor {
 public:
  std::vector<std::pair<std::string, std::string>> TakeValues() { return std::move(values_); }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;
  void BeginElement(const ListField& field, size_t index) override;
  void EndElement(const ListField& field) override;
  void BeginGroup(std::string_view name, bool) override { path_.Push(name); }
  void EndGroup() override { path_.Pop(); }

 private:
  FieldPath path_;
  bool scalar_element_ = false;
  std::vector<std::pair<std::string, std::string>> values_;
};

class ParseVisitor final : public FieldVisitor {
 public:
  explicit ParseVisitor(std::string_view text);
  // After the visit: the first error in the order of lines, unknown keys included.
  absl::Status status() const;
  // Consumes the line `name = value` outside the fields; false when it holds another value (an
  // error is kept).
  void Header(std::string_view name, std::string_view value);

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;
  void EndList(const ListField& field, const ListPlan& plan, size_t size) override;
  void BeginElement(const ListField& field, size_t index) override;
  void EndElement(const ListField& field) override;
  void BeginGroup(std::string_view name, bool) override { path_.Push(name); }
  void EndGroup() override { path_.Pop(); }

 private:
  struct Word {
    int line = 0;
    int column = 0;
    std::string_view text;
  };
  struct Entry {
    Word key;
    Word value;  // without surrounding blanks; its column is that of its first character
    bool used = false;
  };
  void ParseLine(std::string_view line, int number);
  void Fail(const Word& where, const std::string& message);
  Entry* Find(const std::string& key);
  uint64_t ParseWord(const ScalarField& field, const std::string& key, const Word& word);
  size_t CountElements(const std::string& key) const;
  static std::vector<Word> Words(const Word& value);

  FieldPath path_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> known_;                     // keys that the fields asked for
  std::map<std::pair<int, int>, std::string> errors_;  // by line and column
  std::vector<Word> words_;                            // of the list on one line that is being read
  size_t next_word_ = 0;
  bool inline_list_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_TEXT_H_
