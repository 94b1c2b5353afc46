#include "fuzz/corpus_store.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kFirstLine = "# crosscheck case 1";
constexpr absl::string_view kSeparator = "---";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string OneLine(absl::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

// An entry that still lacks its case.
struct Header {
  Signature signature;
  std::string engine;
  VerdictKind verdict = VerdictKind::kEngineBug;
  bool marginal = false;
  uint64_t seed = 0;
  int64_t cases_until_found = 0;
  double seconds_until_found = 0;
  std::string bug, versions;
  std::string build;
  std::vector<std::string> notes;
};

// `seed 7, case 1234, build 1a2b3c`, and how long the search took where that is known: `, 0.8 s`
bool ParseFound(absl::string_view value, Header& header) {
  const std::vector<absl::string_view> parts = absl::StrSplit(value, absl::MaxSplits(", ", 3));
  if (parts.size() < 3 || !absl::StartsWith(parts[2], "build ")) return false;
  if (parts.size() == 4) {
    absl::string_view seconds = parts[3];
    if (!absl::ConsumeSuffix(&seconds, " s") ||
        !absl::SimpleAtod(seconds, &header.seconds_until_found))
      return false;
  }
  header.build = std::string(parts[2].substr(6));
  return absl::StartsWith(parts[0], "seed ") &&
         absl::SimpleAtoi(parts[0].substr(5), &header.seed) &&
         absl::StartsWith(parts[1], "case ") &&
         absl::SimpleAtoi(parts[1].substr(5), &header.cases_until_found);
}

bool ParseVerdictKind(absl::string_view value, VerdictKind& kind) {
  for (size_t i = 0; i < std::size(kVerdictKindNames); ++i) {
    if (value == View(kVerdictKindNames[i])) {
      kind = static_cast<VerdictKind>(i);
      return true;
    }
  }
  return false;
}

constexpr absl::string_view kKeys[] = {"signature", "engine", "verdict", "found",
                                       "marginal",  "bug",    "versions"};

absl::Status SetField(absl::string_view key, absl::string_view value, Header& header) {
  if (key == "signature") {
    absl::StatusOr<Signature> signature = Signature::Parse({value.data(), value.size()});
    if (!signature.ok()) return signature.status();
    header.signature = *std::move(signature);
  } else if (key == "engine") {
    if (value.empty()) return absl::InvalidArgumentError("the engine is missing");
    header.engine = std::string(value);
  } else if (key == "verdict") {
    if (!ParseVerdictKind(value, header.verdict)) {
      return absl::InvalidArgumentError(absl::StrCat("there is no verdict '", value, "'"));
    }
  } else if (key == "marginal") {
    if (value != "yes" && value != "no") return absl::InvalidArgumentError("expected yes or no");
    header.marginal = value == "yes";
  } else if (key == "bug" || key == "versions") {
    (key == "bug" ? header.bug : header.versions) = std::string(value);
  } else if (!ParseFound(value, header)) {
    return absl::InvalidArgumentError("expected 'seed <n>, case <n>, build <id>'");
  }
  return absl::OkStatus();
}

struct TextPosition {
  int line = 0, column = 1;
};

// Stores one `key = value` line; `column` is that of what is wrong with it.
absl::Status ParseHeaderLine(absl::string_view line, Header& header, std::set<std::string>& seen,
                             int& column) {
  const size_t equals = line.find('=');
  if (equals == line.npos) return absl::InvalidArgumentError("expected 'key = value'");
  const std::string key(absl::StripAsciiWhitespace(line.substr(0, equals)));
  if (!seen.insert(key).second) {
    return absl::InvalidArgumentError(absl::StrCat("'", key, "' is given twice"));
  }
  if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown key '", key, "', expected one of ", absl::StrJoin(kKeys, ", ")));
  }
  const absl::string_view value = absl::StripLeadingAsciiWhitespace(line.substr(equals + 1));
  column = static_cast<int>(value.data() - line.data()) + 1;
  return SetField(key, value, header);
}

absl::Status CheckComplete(const std::set<std::string>& seen) {
  for (const char* key : {"signature", "engine", "verdict"}) {
    if (!seen.count(key)) {
      return absl::InvalidArgumentError(absl::StrCat("the header lacks '", key, " = …'"));
    }
  }
  return absl::OkStatus();
}

// Reads the lines before `---`; `at` is where it stands and `rest` what follows that line.
absl::Status ParseHeader(absl::string_view text, Header& header, TextPosition& at,
                         absl::string_view& rest) {
  std::set<std::string> seen;
  for (rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    at = {at.line + 1, 1};
    if (at.line == 1 && line != kFirstLine) {
      return absl::InvalidArgumentError(absl::StrCat("expected '", kFirstLine, "'"));
    }
    if (line == kSeparator) return CheckComplete(seen);
    if (at.line == 1 || line.empty()) continue;
    if (line[0] == '#') {
      header.notes.emplace_back(absl::StripPrefix(line.substr(1), " "));
      continue;
    }
    absl::Status status = ParseHeaderLine(line, header, seen, at.column);
    if (!status.ok()) return status;
  }
  at = {at.line + 1, 1};
  return absl::InvalidArgumentError("the line '---' before the case is missing");
}

// The subject that the body names in its line `subject = <name>`; `at` stands on the line before
// the body.
absl::StatusOr<const Subject*> FindSubjectOfBody(absl::string_view body, TextPosition& at) {
  const int separator_line = at.line;
  for (absl::string_view line : absl::StrSplit(body, '\n')) {
    ++at.line;
    const size_t equals = std::min(line.find('='), line.size());
    if (absl::StripAsciiWhitespace(line.substr(0, equals)) != "subject") continue;
    const absl::string_view after = line.substr(std::min(equals + 1, line.size()));
    const absl::string_view name = absl::StripAsciiWhitespace(after.substr(0, after.find('#')));
    const Subject* subject = FindSubject({name.data(), name.size()});
    if (subject != nullptr) return subject;
    at.column = static_cast<int>(name.data() - line.data()) + 1;
    return absl::InvalidArgumentError(absl::StrCat("there is no subject '", name, "'"));
  }
  at = {separator_line + 1, 1};
  return absl::InvalidArgumentError("the line 'subject = <name>' is missing");
}

absl::Status AtPosition(std::string_view file_name, TextPosition at, const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(View(file_name), ":", at.line, ":", at.column, ": ", status.message()));
}

// The subject that the line `subject = <name>` names, which a bare case must have; the line is
// blanked, so that line numbers of errors stay those of the file.
absl::StatusOr<const Subject*> TakeSubjectLine(const std::string& path, std::string& text) {
  constexpr std::string_view kKey = "subject = ";
  size_t begin = absl::StartsWith(text, "subject = ") ? 0 : text.find("\nsubject = ");
  if (begin == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1:1: expected '# crosscheck case 1' or a line 'subject = <name>'"));
  }
  begin += text[begin] == '\n' ? 1 : 0;
  size_t end = std::min(text.find('\n', begin), text.size());
  std::string name = text.substr(begin + kKey.size(), end - begin - kKey.size());
  const Subject* subject = FindSubject(name);
  if (subject == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": there is no subject '", name, "'; `crosscheck list` shows them"));
  }
  text.erase(begin, end - begin);
  return subject;
}

// A failure that other machines will show too comes first, then the smaller case.
bool IsBetter(const CorpusEntry& a, const CorpusEntry& b) {
  if (&a.value.subject() != &b.value.subject()) return false;
  if (a.marginal != b.marginal) return b.marginal;
  const std::string left = a.value.subject().write(a.value);
  const std::string right = b.value.subject().write(b.value);
  return left.size() != right.size() ? left.size() < right.size() : left < right;
}

}  // namespace

std::string PrintEntry(const CorpusEntry& entry) {
  std::string text =
      absl::StrCat(kFirstLine, "\nsignature = ", entry.signature.ToString(),
                   "\nengine = ", OneLine(entry.engine),
                   "\nverdict = ", View(kVerdictKindNames[static_cast<size_t>(entry.verdict)]));
  // A hand-made case was not found by a search.
  if (!entry.build.empty() || entry.seed != 0 || entry.cases_until_found != 0) {
    absl::StrAppend(&text, "\nfound = seed ", entry.seed, ", case ", entry.cases_until_found,
                    ", build ", entry.build.empty() ? "unknown" : OneLine(entry.build));
    if (entry.seconds_until_found > 0) {
      absl::StrAppend(&text, absl::StrFormat(", %.2g s", entry.seconds_until_found));
    }
  }
  absl::StrAppend(&text, "\nmarginal = ", entry.marginal ? "yes" : "no", "\n");
  if (!entry.bug.empty()) absl::StrAppend(&text, "bug = ", OneLine(entry.bug), "\n");
  if (!entry.versions.empty()) absl::StrAppend(&text, "versions = ", OneLine(entry.versions), "\n");
  for (const std::string& note : entry.notes) {
    for (absl::string_view line : absl::StrSplit(note, '\n'))
      absl::StrAppend(&text, "# ", line, "\n");
  }
  absl::StrAppend(&text, kSeparator, "\n", entry.value.subject().print(entry.value));
  if (text.back() != '\n') text += '\n';
  return text;
}

absl::StatusOr<CorpusEntry> ParseEntry(std::string_view text, std::string_view file_name) {
  Header header;
  TextPosition at;
  absl::string_view body;
  if (absl::Status status = ParseHeader(View(text), header, at, body); !status.ok()) {
    return AtPosition(file_name, at, status);
  }
  const auto header_lines = static_cast<size_t>(at.line);
  absl::StatusOr<const Subject*> subject = FindSubjectOfBody(body, at);
  if (!subject.ok()) return AtPosition(file_name, at, subject.status());
  // The subject counts lines from its own text; blank lines in place of the header make them those
  // of the file.
  absl::StatusOr<Case> value =
      (*subject)->parse(absl::StrCat(std::string(header_lines, '\n'), body));
  if (!value.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(View(file_name), ":", value.status().message()));
  }
  return CorpusEntry{.value = *std::move(value),
                     .signature = std::move(header.signature),
                     .engine = std::move(header.engine),
                     .verdict = header.verdict,
                     .marginal = header.marginal,
                     .seed = header.seed,
                     .cases_until_found = header.cases_until_found,
                     .seconds_until_found = header.seconds_until_found,
                     .bug = std::move(header.bug),
                     .versions = std::move(header.versions),
                     .build = std::move(header.build),
                     .notes = std::move(header.notes)};
}

absl::StatusOr<Case> ParseBareCase(std::string text, const std::string& path) {
  auto subject = TakeSubjectLine(path, text);
  if (!subject.ok()) return subject.status();
  auto value = (*subject)->parse(text);
  if (!value.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", std::string(value.status().message())));
  }
  return value;
}

absl::StatusOr<CorpusEntry> ReadEntry(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ParseEntry(*text, path);
}

absl::StatusOr<std::string> WriteEntry(const std::string& root, const CorpusEntry& entry) {
  const fs::path folder = fs::path(root) / entry.signature.property;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create the folder ", folder.string(), ": ", error.message()));
  }
  const std::string name = absl::StrReplaceAll(entry.signature.ToString(), {{"/", "."}});
  const std::string path = (folder / (name + ".case")).string();
  if (fs::exists(path, error)) {
    // A better case of the same engine stays; a file that cannot be read is replaced.
    absl::StatusOr<CorpusEntry> kept = ReadEntry(path);
    if (kept.ok() && kept->engine == entry.engine && IsBetter(*kept, entry)) {
      return path;
    }
  }
  absl::Status status = WriteFile(path, PrintEntry(entry));
  if (!status.ok()) return status;
  return path;
}

absl::StatusOr<std::vector<std::string>> ListCaseFiles(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
  if (!fs::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".case") files.push_back(it->path().string());
  }
  if (error)
    return absl::UnavailableError(absl::StrCat("cannot list ", path, ": ", error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace crosscheck
