#include "properties/verdict.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

std::string Name(ErrorClass error) {
  return std::string(kErrorClassNames[static_cast<int>(error)]);
}

// Letters and '-' only: ClusterFuzz turns runs of digits into one word, so that they would merge
// signatures.
std::string LettersOnly(std::string_view text, size_t longest) {
  std::string letters;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte) != 0) letters += static_cast<char>(std::tolower(byte));
    if (c == '_' || c == '-') letters += '-';
  }
  return letters.substr(0, longest);
}

std::string LetterHash(std::string_view text) {
  std::string letters;
  uint64_t bits = HashName(text);
  for (int i = 0; i < 8; ++i, bits /= 26) letters += static_cast<char>('a' + bits % 26);
  return letters;
}

}  // namespace

std::string Signature::ToString() const {
  return absl::StrCat(property, "/", engine_family, "/", stage, "/", Name(error));
}

absl::StatusOr<Signature> Signature::Parse(std::string_view text) {
  std::vector<std::string> part = absl::StrSplit(absl::string_view(text.data(), text.size()), '/');
  auto error = part.size() == 4
                   ? std::find(std::begin(kErrorClassNames), std::end(kErrorClassNames), part[3])
                   : std::end(kErrorClassNames);
  if (error == std::end(kErrorClassNames) || part[0].empty() || part[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::string_view(text.data(), text.size()),
                     "\" is no signature; expected property/engine/stage/error class"));
  }
  return Signature{part[0], part[1], part[2],
                   static_cast<ErrorClass>(error - std::begin(kErrorClassNames))};
}

std::string Signature::ToLine() const {
  constexpr size_t kReadable =
      41;  // 80 less "Assertion failure: ", " FuzzerHash=" and eight letters
  std::string readable =
      absl::StrCat(LettersOnly(property, 24), "/", LettersOnly(engine_family, 24), "-exact/",
                   LettersOnly(stage, 24), "/", Name(error));
  return absl::StrCat("Assertion failure: ", readable.substr(0, kReadable),
                      " FuzzerHash=", LetterHash(ToString()));
}

bool Verdict::IsFinding() const {
  switch (kind) {
    case VerdictKind::kEngineBug:
    case VerdictKind::kCrash:
    case VerdictKind::kTimeout:
    case VerdictKind::kFlaky:
    case VerdictKind::kReferenceDrift:
      return true;
    default:
      return false;
  }
}

}  // namespace crosscheck
