#include "fuzz/corpus_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kFirstLine = "# crosscheck case 1";
constexpr absl::string_view kSeparator = "---";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string OneLine(absl::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

// An entry that still lacks its case.
struct Header {
  const Subject* subject = nullptr;
  Signature signature;
  std::string engine;
  VerdictKind verdict = VerdictKind::kEngineBug;
  bool marginal = false;
  uint64_t seed = 0;
  int64_t cases_until_found = 0;
  std::string build;
  std::vector<std::string> notes;
};

// `seed 7, case 1234, build 1a2b3c`
bool ParseFound(absl::string_view value, Header& header) {
  const std::vector<absl::string_view> parts = absl::StrSplit(value, absl::MaxSplits(", ", 2));
  if (parts.size() != 3 || !absl::StartsWith(parts[2], "build ")) return false;
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

// What is wrong with `key = value`, or "" when it has been stored.
std::string SetField(absl::string_view key, absl::string_view value, Header& header) {
  if (key == "subject") {
    header.subject = FindSubject({value.data(), value.size()});
    return header.subject ? "" : absl::StrCat("there is no subject '", value, "'");
  }
  if (key == "signature") {
    absl::StatusOr<Signature> signature = Signature::Parse({value.data(), value.size()});
    if (!signature.ok()) return std::string(signature.status().message());
    header.signature = *std::move(signature);
    return "";
  }
  if (key == "engine") {
    header.engine = std::string(value);
    return value.empty() ? "the engine is missing" : "";
  }
  if (key == "verdict") {
    return ParseVerdictKind(value, header.verdict) ? "" : absl::StrCat("no verdict '", value, "'");
  }
  if (key == "marginal") {
    header.marginal = value == "yes";
    return value == "yes" || value == "no" ? "" : "expected yes or no";
  }
  if (key == "found") {
    return ParseFound(value, header) ? "" : "expected 'seed <n>, case <n>, build <id>'";
  }
  return absl::StrCat("unknown key '", key, "'");
}

struct TextPosition {
  int line = 0, column = 1;
};

// Reads the lines before `---`; `at` is where it stands and `rest` what follows that line.
absl::Status ParseHeader(absl::string_view text, Header& header, TextPosition& at,
                         absl::string_view& rest) {
  std::set<std::string> seen;
  for (rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    at = {at.line + 1, 1};
    if (at.line == 1) {
      if (line != kFirstLine) {
        return absl::InvalidArgumentError(absl::StrCat("expected '", kFirstLine, "'"));
      }
    } else if (line == kSeparator) {
      for (const char* key : {"signature", "engine", "verdict", "subject"}) {
        if (!seen.count(key)) {
          return absl::InvalidArgumentError(absl::StrCat("the header lacks '", key, " = …'"));
        }
      }
      return absl::OkStatus();
    } else if (absl::StartsWith(line, "#")) {
      header.notes.emplace_back(absl::StripPrefix(line.substr(1), " "));
    } else if (!line.empty()) {
      const size_t equals = std::min(line.find('='), line.size());
      const std::string key(absl::StripAsciiWhitespace(line.substr(0, equals)));
      if (equals == line.size()) return absl::InvalidArgumentError("expected 'key = value'");
      if (!seen.insert(key).second) {
        return absl::InvalidArgumentError(absl::StrCat("'", key, "' is given twice"));
      }
      const absl::string_view value = absl::StripLeadingAsciiWhitespace(line.substr(equals + 1));
      const std::string problem = SetField(key, value, header);
      if (problem.empty()) continue;
      const bool at_key = absl::StartsWith(problem, "unknown key");
      at.column = at_key ? 1 : static_cast<int>(value.data() - line.data()) + 1;
      return absl::InvalidArgumentError(problem);
    }
  }
  at = {at.line + 1, 1};
  return absl::InvalidArgumentError("the line '---' before the case is missing");
}

absl::Status ErrorFromErrno(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

absl::Status WriteAll(int file, absl::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrorFromErrno("cannot write", path);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(file) == 0 ? absl::OkStatus() : ErrorFromErrno("cannot write", path);
}

// A reader sees the old file or the new one, never a part; on failure nothing new is left behind.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view text) {
  const std::string temporary = absl::StrCat(path, ".", getpid(), ".tmp");
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return ErrorFromErrno("cannot create", temporary);
  absl::Status status = WriteAll(file, text, temporary);
  if (close(file) != 0 && status.ok()) status = ErrorFromErrno("cannot write", temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrorFromErrno("cannot replace", path);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

bool IsSmaller(const Case& a, const Case& b) {
  const std::string left = a.subject().write(a), right = b.subject().write(b);
  return left.size() != right.size() ? left.size() < right.size() : left < right;
}

}  // namespace

std::string PrintEntry(const CorpusEntry& entry) {
  std::string text =
      absl::StrCat(kFirstLine, "\nsignature = ", entry.signature.ToString(),
                   "\nengine = ", OneLine(entry.engine),
                   "\nverdict = ", View(kVerdictKindNames[static_cast<size_t>(entry.verdict)]),
                   "\nfound = seed ", entry.seed, ", case ", entry.cases_until_found, ", build ",
                   OneLine(entry.build), "\nmarginal = ", entry.marginal ? "yes" : "no",
                   "\nsubject = ", View(entry.value.subject().name), "\n");
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
    return absl::InvalidArgumentError(
        absl::StrCat(View(file_name), ":", at.line, ":", at.column, ": ", status.message()));
  }
  // The subject counts lines from its own text; blank lines in place of the header make them those
  // of the file.
  absl::StatusOr<Case> value =
      header.subject->parse(absl::StrCat(std::string(static_cast<size_t>(at.line), '\n'), body));
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
                     .build = std::move(header.build),
                     .notes = std::move(header.notes)};
}

absl::StatusOr<CorpusEntry> ReadEntry(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || fs::is_directory(path)) {
    return absl::NotFoundError(absl::StrCat("cannot read the case ", path));
  }
  return ParseEntry(text, path);
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
    // A smaller case of the same engine stays; a file that cannot be read is replaced.
    absl::StatusOr<CorpusEntry> kept = ReadEntry(path);
    if (kept.ok() && kept->engine == entry.engine &&
        &kept->value.subject() == &entry.value.subject() && kept->marginal <= entry.marginal &&
        IsSmaller(kept->value, entry.value)) {
      return path;
    }
  }
  absl::Status status = WriteFileAtomically(path, PrintEntry(entry));
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
