#include "quality/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_replace.h"
#include "quality/metrics/characters.h"

namespace crosscheck::quality {
namespace {

// What Python's str.split() splits at.
bool IsSpace(int32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

std::vector<std::string> SplitAtSpaces(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view rest = text;
    const bool space = IsSpace(NextCharacter(text));
    const std::string_view character = rest.substr(0, rest.size() - text.size());
    if (!space && !inside) words.emplace_back();
    if (!space) words.back().append(character);
    inside = !space;
  }
  return words;
}

std::string_view StripTrailingSpaces(std::string_view text) {
  size_t end = 0;
  for (std::string_view rest = text; !rest.empty();) {
    if (!IsSpace(NextCharacter(rest))) end = text.size() - rest.size();
  }
  return text.substr(0, end);
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsStop(char c) { return c == '.' || c == ','; }

// ASCII symbols other than ' , - .
bool IsSymbol(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

// Replaces every pair that `matches`, from left to right and without overlap, by
// before + first + between + second + after.
template <class Matches>
std::string SpaceOut(const std::string& text, Matches&& matches, std::string_view before,
                     std::string_view between, std::string_view after) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      out += text[i];
      continue;
    }
    out.append(before).append(1, text[i]).append(between).append(1, text[i + 1]).append(after);
    ++i;
  }
  return out;
}

using Counts = std::map<std::vector<std::string>, int64_t>;

Counts NGrams(const std::vector<std::string>& words, size_t n) {
  Counts counts;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    ++counts[{words.begin() + static_cast<ptrdiff_t>(i),
              words.begin() + static_cast<ptrdiff_t>(i + n)}];
  }
  return counts;
}

}  // namespace

// Works on bytes: a character that is no ASCII one is no digit either, and spaces are only put
// beside ASCII characters.
std::vector<std::string> Tokenise13a(std::string_view text) {
  text = StripTrailingSpaces(text);
  std::string line =
      absl::StrReplaceAll(absl::string_view(text.data(), text.size()), {{"<skipped>", ""}});
  line = absl::StrReplaceAll(line, {{"-\n", ""}});
  line = absl::StrReplaceAll(line, {{"\n", " "}});
  // One after the other: &amp;lt; becomes <.
  for (const auto& [entity, character] :
       {std::pair("&quot;", "\""), {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}}) {
    line = absl::StrReplaceAll(line, {{entity, character}});
  }
  std::string spaced = " ";
  for (const char c : line) {
    if (IsSymbol(c)) {
      spaced.append({' ', c, ' '});
    } else {
      spaced += c;
    }
  }
  spaced += " ";
  const auto before_stop = [](char a, char b) { return !IsDigit(a) && IsStop(b); };
  const auto after_stop = [](char a, char b) { return IsStop(a) && !IsDigit(b); };
  const auto hyphen = [](char a, char b) { return IsDigit(a) && b == '-'; };
  spaced = SpaceOut(spaced, before_stop, "", " ", " ");
  spaced = SpaceOut(spaced, after_stop, " ", " ", "");
  spaced = SpaceOut(spaced, hyphen, "", " ", " ");
  return SplitAtSpaces(spaced);
}

void BleuCounts::Add(const BleuCounts& other) {
  for (size_t n = 0; n < 4; ++n) {
    matches[n] += other.matches[n];
    total[n] += other.total[n];
  }
  candidate_length += other.candidate_length;
  reference_length += other.reference_length;
}

BleuCounts CountBleu(std::string_view candidate, std::string_view reference) {
  const std::vector<std::string> theirs = Tokenise13a(candidate), ours = Tokenise13a(reference);
  BleuCounts counts;
  counts.candidate_length = static_cast<int64_t>(theirs.size());
  counts.reference_length = static_cast<int64_t>(ours.size());
  for (size_t n = 1; n <= 4; ++n) {
    const Counts known = NGrams(ours, n);
    for (const auto& [gram, count] : NGrams(theirs, n)) {
      counts.total[n - 1] += count;
      const auto found = known.find(gram);
      if (found != known.end()) counts.matches[n - 1] += std::min(count, found->second);
    }
  }
  return counts;
}

double BleuScore(const BleuCounts& counts) {
  const auto any = [](int64_t count) { return count > 0; };
  if (std::none_of(counts.matches.begin(), counts.matches.end(), any)) return 0;
  double log_sum = 0, smoothing = 1;
  for (size_t n = 0; n < 4; ++n) {
    if (counts.total[n] == 0) return 0;
    const auto total = static_cast<double>(counts.total[n]);
    if (counts.matches[n] == 0) smoothing *= 2;
    log_sum +=
        std::log(counts.matches[n] == 0 ? 100 / (smoothing * total)
                                        : 100 * static_cast<double>(counts.matches[n]) / total);
  }
  const auto length = static_cast<double>(counts.candidate_length);
  const auto wanted = static_cast<double>(counts.reference_length);
  return std::exp(log_sum / 4 + (length < wanted ? 1 - wanted / length : 0));
}

}  // namespace crosscheck::quality
