#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "properties/visitors/text.h"

namespace crosscheck {
namespace {

constexpr std::string_view kBlanks = " \t\r";

}  // namespace

ParseVisitor::ParseVisitor(std::string_view text) {
  int number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ParseLine(text.substr(begin, end - begin), ++number);
    begin = end + 1;
  }
}

void ParseVisitor::ParseLine(std::string_view line, int number) {
  line = line.substr(0, line.find('#'));
  const size_t begin = line.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return;
  const size_t equals = line.find('=');
  Word key{number, static_cast<int>(begin) + 1, {}};
  if (equals == std::string_view::npos) {
    Fail(key, "expected `name = value`");
    return;
  }
  key.text = line.substr(begin, equals - begin);
  key.text = key.text.substr(0, key.text.find_last_not_of(kBlanks) + 1);
  Word value{number, static_cast<int>(equals) + 2, {}};
  const size_t value_begin = line.find_first_not_of(kBlanks, equals + 1);
  if (value_begin != std::string_view::npos) {
    const size_t value_end = line.find_last_not_of(kBlanks) + 1;
    value = {number, static_cast<int>(value_begin) + 1,
             line.substr(value_begin, value_end - value_begin)};
  }
  const auto [entry, inserted] = entries_.try_emplace(std::string(key.text), Entry{key, value});
  if (!inserted) {
    Fail(key, absl::StrCat("`", entry->first, "` is given twice, first on line ",
                           entry->second.key.line));
  }
}

void ParseVisitor::Fail(const Word& where, const std::string& message) {
  errors_.try_emplace({where.line, where.column}, message);
}

ParseVisitor::Entry* ParseVisitor::Find(const std::string& key) {
  known_.push_back(key);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  found->second.used = true;
  return &found->second;
}

void ParseVisitor::Header(std::string_view name, std::string_view value) {
  const Entry* entry = Find(std::string(name));
  if (entry == nullptr || entry->value.text == value) return;
  Fail(entry->value, absl::StrCat(std::string(name), ": expected ", std::string(value)));
}

absl::Status ParseVisitor::status() const {
  auto errors = errors_;
  for (const auto& [key, entry] : entries_) {
    if (entry.used) continue;
    std::vector<std::string> keys = known_;
    std::sort(keys.begin(), keys.end());
    errors.try_emplace(
        {entry.key.line, entry.key.column},
        absl::StrCat("unknown key `", key, "`, expected one of: ", absl::StrJoin(keys, ", ")));
  }
  if (errors.empty()) return absl::OkStatus();
  const auto& [position, message] = *errors.begin();
  return absl::InvalidArgumentError(
      absl::StrCat(position.first, ":", position.second, ": ", message));
}

uint64_t ParseVisitor::ParseWord(const ScalarField& field, const std::string& key,
                                 const Word& word) {
  const std::optional<uint64_t> index = field.Parse(word.text);
  if (index.has_value()) return *index;
  Fail(word,
       absl::StrCat(key, ": expected ", field.Expected(), ", got `", std::string(word.text), "`"));
  return 0;
}

uint64_t ParseVisitor::Scalar(const ScalarField& field, uint64_t /*index*/) {
  if (inline_list_) {
    // A list that is shorter than its minimum is filled up; EndList reports it.
    if (next_word_ >= words_.size()) return 0;
    return ParseWord(field, path_.Join(""), words_[next_word_++]);
  }
  const std::string key = path_.Join(field.name);
  const Entry* entry = Find(key);
  return entry == nullptr ? 0 : ParseWord(field, key, entry->value);
}

std::vector<ParseVisitor::Word> ParseVisitor::Words(const Word& value) {
  std::vector<Word> words;
  for (size_t begin = value.text.find_first_not_of(kBlanks); begin != std::string_view::npos;) {
    const size_t end = std::min(value.text.find_first_of(kBlanks, begin), value.text.size());
    words.push_back({value.line, value.column + static_cast<int>(begin),
                     value.text.substr(begin, end - begin)});
    begin = value.text.find_first_not_of(kBlanks, end);
  }
  return words;
}

size_t ParseVisitor::CountElements(const std::string& key) const {
  size_t count = 0;
  while (true) {
    const std::string element = absl::StrCat(key, ".", count);
    const auto found = entries_.lower_bound(element);
    const bool whole = found != entries_.end() && found->first == element;
    const auto inside = entries_.lower_bound(element + ".");
    const bool part = inside != entries_.end() &&
                      inside->first.compare(0, element.size() + 1, element + ".") == 0;
    if (!whole && !part) return count;
    ++count;
  }
}

ListPlan ParseVisitor::BeginList(const ListField& field) {
  const std::string key = path_.Join(field.name);
  const Entry* entry = Find(key);
  path_.Push(field.name);
  if (field.scalars) {
    words_ = entry == nullptr ? std::vector<Word>() : Words(entry->value);
    next_word_ = 0;
    inline_list_ = true;
    const bool empty = entry != nullptr && words_.size() < field.range.min;
    if (empty)
      Fail(entry->value, absl::StrCat(key, ": expected at least ", field.range.min, " values"));
    return {.length = words_.size()};
  }
  if (entry != nullptr && !entry->value.text.empty()) {
    Fail(entry->value,
         absl::StrCat(key, ": expected lines `", key, ".0… = …`, or no value for an empty list"));
  }
  return {.length = CountElements(key)};
}

void ParseVisitor::EndList(const ListField& field, const ListPlan& plan, size_t size) {
  path_.Pop();
  inline_list_ = false;
  if (size >= plan.length) return;
  const std::string key = path_.Join(field.name);
  if (field.scalars) {
    Fail(words_[size], absl::StrCat(key, ": expected at most ", size, " values"));
    return;
  }
  const std::string prefix = key + ".";
  for (auto entry = entries_.lower_bound(prefix); entry != entries_.end(); ++entry) {
    if (entry->first.compare(0, prefix.size(), prefix) != 0) break;
    if (entry->second.used) continue;
    entry->second.used = true;
    Fail(entry->second.key, absl::StrCat(key, ": expected at most ", size, " elements"));
  }
}

void ParseVisitor::BeginElement(const ListField& field, size_t index) {
  if (!field.scalars) path_.Push(std::to_string(index));
}

void ParseVisitor::EndElement(const ListField& field) {
  if (!field.scalars) path_.Pop();
}

}  // namespace crosscheck
