#include "quality/tasks/hellaswag.h"

#include <algorithm>
#include <climits>
#include <clocale>
#include <cwchar>
#include <cwctype>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "quality/tasks/task.h"
#include "quality/tasks/task_file.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr size_t kEndings = 4;

// Without each shortest "[…]" of one line.
std::string WithoutBrackets(std::string_view text) {
  std::string kept;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find('[', at);
    if (open == std::string_view::npos) break;
    const size_t end = text.find_first_of("]\n", open);
    const bool closed = end != std::string_view::npos && text[end] == ']';
    kept.append(text.substr(at, open - at));
    if (!closed) kept.push_back('[');
    at = closed ? end + 1 : open + 1;
  }
  return kept.append(text.substr(std::min(at, text.size())));
}

// A number, or a text that holds one.
absl::StatusOr<int> Label(const Json& row) {
  const Json value = row.value("label", Json());
  uint64_t label = kEndings;
  if (value.is_number_unsigned()) label = value.get<uint64_t>();
  const bool wrong_text =
      value.is_string() && !absl::SimpleAtoi(value.get_ref<const std::string&>(), &label);
  if (!wrong_text && label < kEndings) return static_cast<int>(label);
  return absl::InvalidArgumentError(
      absl::StrCat("\"label\": expected a number from 0 to ", kEndings - 1,
                   "; test sets, which have no labels, cannot be scored"));
}

absl::StatusOr<Question> ReadQuestion(const Json& row, const std::string& id) {
  const auto activity = TextField(row, "activity_label"), first = TextField(row, "ctx_a"),
             second = TextField(row, "ctx_b");
  const auto endings = TextsField(row, "endings");
  for (const absl::Status& status :
       {activity.status(), first.status(), second.status(), endings.status()}) {
    if (!status.ok()) return status;
  }
  if (endings->size() != kEndings) return absl::InvalidArgumentError("expected 4 \"endings\"");
  const absl::StatusOr<int> gold = Label(row);
  if (!gold.ok()) return gold.status();
  Question question{.id = id, .group = "", .context = "", .choices = {}, .gold = *gold};
  question.context =
      CleanHellaSwag(absl::StrCat(*activity, ": ", *first, " ", Capitalise(*second)));
  for (const std::string& ending : *endings) question.choices.push_back(CleanHellaSwag(ending));
  return question;
}

}  // namespace

std::string CleanHellaSwag(std::string_view text) {
  const absl::string_view stripped =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
  const std::string titled = absl::StrReplaceAll(stripped, {{" [title]", ". "}});
  return absl::StrReplaceAll(WithoutBrackets(titled), {{"  ", " "}});
}

std::string Capitalise(std::string_view text) {
  // Lives as long as the program. Where the C library has no such locale, ASCII letters are mapped.
  static locale_t const unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr) {
    std::string result = absl::AsciiStrToLower(absl::string_view(text.data(), text.size()));
    if (!result.empty()) result[0] = absl::ascii_toupper(result[0]);
    return result;
  }
  const locale_t before = uselocale(unicode);
  std::string result;
  std::mbstate_t in = {}, out = {};
  while (!text.empty()) {
    wchar_t character = 0;
    const size_t length = std::mbrtowc(&character, text.data(), text.size(), &in);
    if (length == 0 || length > text.size()) break;  // a NUL, or no UTF-8: the rest stays
    const wint_t mapped = result.empty() ? std::towupper(character) : std::towlower(character);
    char bytes[MB_LEN_MAX];
    result.append(bytes, std::wcrtomb(bytes, static_cast<wchar_t>(mapped), &out));
    text.remove_prefix(length);
  }
  uselocale(before);
  return result.append(text);
}

absl::StatusOr<Task> ReadHellaSwag(const std::string& path) {
  Task task{.name = "hellaswag", .shots = 0, .files = {}, .questions = {}};
  const absl::Status status =
      ReadJsonLines(path, &task, [&](const Json& row, const std::string& id) {
        absl::StatusOr<Question> question = ReadQuestion(row, id);
        if (!question.ok()) return question.status();
        task.questions.push_back(*std::move(question));
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return task;
}

}  // namespace crosscheck::quality
