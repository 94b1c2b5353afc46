// A strict reader of the markup that reports write: every element closed in order, every attribute
// quoted, no stray '<' or '&'. It reads XML, which the pages are beside being HTML.
#ifndef CROSSCHECK_TESTS_CLI_MARKUP_CHECK_H_
#define CROSSCHECK_TESTS_CLI_MARKUP_CHECK_H_

#include <cctype>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace crosscheck {

class MarkupReader {
 public:
  explicit MarkupReader(const std::string& page) : page_(page) { Read(); }
  const std::string& error() const { return error_; }
  const std::string& text() const { return text_; }  // unescaped

 private:
  void Read() {
    while (at_ < page_.size() && error_.empty()) {
      if (page_.compare(at_, 2, "<!") == 0 || page_.compare(at_, 2, "<?") == 0) {
        at_ = page_.find('>', at_) + 1;
      } else if (page_[at_] == '<') {
        ReadTag();
      } else {
        ReadText(text_);
      }
    }
    if (error_.empty() && !open_.empty()) Fail("not closed: " + open_.back());
  }

  void Fail(const std::string& what) {
    error_ = absl::StrCat(what, " at byte ", at_, ": ", page_.substr(at_ < 40 ? 0 : at_ - 40, 80));
  }

  std::string Name() {
    const size_t begin = at_;
    while (at_ < page_.size() && (std::isalnum(static_cast<unsigned char>(page_[at_])) != 0 ||
                                  page_[at_] == '-' || page_[at_] == ':')) {
      ++at_;
    }
    return page_.substr(begin, at_ - begin);
  }

  void ReadTag() {
    ++at_;
    if (page_[at_] == '/') {
      ++at_;
      const std::string name = Name();
      if (open_.empty() || open_.back() != name) return Fail("closes another element: " + name);
      open_.pop_back();
      return Expect(">");
    }
    const std::string name = Name();
    if (name.empty()) return Fail("a stray '<'");
    while (error_.empty() && page_[at_] == ' ') {
      ++at_;
      if (Name().empty()) return Fail("an attribute without a name");
      Expect("=\"");
      std::string value;
      while (error_.empty() && at_ < page_.size() && page_[at_] != '"') ReadOne(value);
      if (error_.empty()) Expect("\"");
    }
    if (!error_.empty()) return;
    if (page_[at_] == '/') return Expect("/>");
    open_.push_back(name);
    Expect(">");
  }

  void Expect(const std::string& what) {
    if (page_.compare(at_, what.size(), what) != 0) return Fail("expected " + what);
    at_ += what.size();
  }

  void ReadText(std::string& into) {
    while (at_ < page_.size() && page_[at_] != '<' && error_.empty()) ReadOne(into);
  }

  void ReadOne(std::string& into) {
    static const std::map<std::string, std::string> kEntities = {{"&lt;", "<"},   {"&gt;", ">"},
                                                                 {"&amp;", "&"},  {"&quot;", "\""},
                                                                 {"&#10;", "\n"}, {"&#9;", "\t"}};
    const char c = page_[at_];
    if (c == '<') return Fail("'<' in an attribute");
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return Fail("a control character");
    if (c != '&') {
      into += c;
      ++at_;
      return;
    }
    const size_t end = page_.find(';', at_);
    const auto entity = end == std::string::npos ? kEntities.end()
                                                 : kEntities.find(page_.substr(at_, end + 1 - at_));
    if (entity == kEntities.end()) return Fail("a stray '&'");
    into += entity->second;
    at_ = end + 1;
  }

  const std::string& page_;
  size_t at_ = 0;
  std::vector<std::string> open_;
  std::string error_, text_;
};

inline std::string MarkupError(const std::string& page) { return MarkupReader(page).error(); }
inline std::string MarkupText(const std::string& page) { return MarkupReader(page).text(); }

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_CLI_MARKUP_CHECK_H_
