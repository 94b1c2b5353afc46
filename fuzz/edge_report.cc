#include "fuzz/edge_report.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engines/child_process.h"

namespace crosscheck {
namespace {

constexpr std::chrono::hours kDeadline{6};
// Reads ELF symbols and demangles Rust's names; llvm-19 is among ci/setup's packages.
constexpr const char* kNm = "/usr/bin/llvm-nm-19";

// Standard output of a program that ended well.
absl::StatusOr<std::string> OutputOf(std::vector<std::string> command) {
  const std::string name = command[0];
  auto child = ChildProcess::Start(std::move(command), {});
  if (!child.ok()) return child.status();
  (*child)->CloseInput();
  InputBuffer output;
  std::string_view nothing;
  std::string text;
  const auto deadline = ChildProcess::Clock::now() + kDeadline;
  for (;;) {
    const auto event = (*child)->Exchange(&nothing, &output, 0, deadline);
    text += output.view();
    output.clear();
    if (event != ChildProcess::Event::kInput) break;
  }
  const std::string end = (*child)->Wait(deadline);
  if (end == "exit 0") return text;
  return absl::FailedPreconditionError(
      absl::StrCat(name, " ended with ", end, ": ", (*child)->StderrTail()));
}

std::vector<absl::string_view> Lines(std::string_view text) {
  return absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty());
}

// Without the hash that rustc adds ("::h0123456789abcdef") and its spelling of punctuation.
std::string Readable(absl::string_view name) {
  const size_t hash = name.rfind("::h");
  if (hash != absl::string_view::npos && name.size() - hash == 19) name = name.substr(0, hash);
  return absl::StrReplaceAll(name, {{"_$LT$", "<"},
                                    {"$LT$", "<"},
                                    {"$GT$", ">"},
                                    {"$RF$", "&"},
                                    {"$BP$", "*"},
                                    {"$C$", ","},
                                    {"$LP$", "("},
                                    {"$RP$", ")"},
                                    {"$u20$", " "},
                                    {"$u5b$", "["},
                                    {"$u5d$", "]"},
                                    {"$u7b$", "{"},
                                    {"$u7d$", "}"},
                                    {"..", "::"}});
}

}  // namespace

std::map<uint64_t, std::string> ParseSymbols(std::string_view nm) {
  std::map<uint64_t, std::string> symbols;
  for (absl::string_view line : Lines(nm)) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 2));
    uint64_t address = 0;
    const bool code = words.size() == 3 && (words[1] == "t" || words[1] == "T" || words[1] == "W");
    if (!code || !absl::SimpleHexAtoi(words[0], &address)) continue;
    symbols.emplace(address, Readable(words[2]));
  }
  return symbols;
}

absl::StatusOr<EdgeReport> ParseEdges(std::string_view text,
                                      const std::map<uint64_t, std::string>& symbols) {
  EdgeReport report;
  std::map<std::string, FunctionEdges> functions;
  for (absl::string_view line : Lines(text)) {
    if (absl::ConsumePrefix(&line, "library ")) {
      report.library = std::string(line);
      continue;
    }
    if (absl::ConsumePrefix(&line, "inputs ")) {
      if (!absl::SimpleAtoi(line, &report.inputs))
        return absl::DataLossError("no number of inputs");
      continue;
    }
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    uint64_t address = 0;
    int64_t inputs = 0;
    if (words.size() != 3 || !absl::SimpleHexAtoi(words[0], &address) ||
        !absl::SimpleAtoi(words[2], &inputs)) {
      return absl::DataLossError(absl::StrCat("edge_coverage printed: ", line));
    }
    auto after = symbols.upper_bound(address);
    FunctionEdges& f = functions[after == symbols.begin() ? "" : std::prev(after)->second];
    ++f.edges;
    ++report.edges;
    f.reached += inputs > 0 ? 1 : 0;
    report.reached += inputs > 0 ? 1 : 0;
  }
  if (report.edges == 0) {
    return absl::FailedPreconditionError(
        "the engine's library has no coverage counters; the preset fuzz builds one that has");
  }
  for (auto& [name, edges] : functions) {
    edges.name = name;
    report.functions.push_back(std::move(edges));
  }
  return report;
}

absl::StatusOr<EdgeReport> ReadEdges(const EdgeRequest& request) {
  std::error_code error;
  if (!std::filesystem::exists(request.program, error)) {
    return absl::NotFoundError(absl::StrCat(
        "no program ", request.program,
        "; build the fuzz targets: cmake --preset fuzz && cmake --build --preset fuzz"));
  }
  std::vector<std::string> command = {std::filesystem::absolute(request.program).string(),
                                      request.subject, request.engine};
  command.insert(command.end(), request.inputs.begin(), request.inputs.end());
  auto text = OutputOf(std::move(command));
  if (!text.ok()) return text.status();
  auto first = ParseEdges(*text, {});
  if (!first.ok()) return first.status();
  // Without the tool, or without symbols, all edges are of one function without a name.
  const auto nm = OutputOf({kNm, "--demangle", "--defined-only", first->library});
  return ParseEdges(*text, nm.ok() ? ParseSymbols(*nm) : std::map<uint64_t, std::string>());
}

std::vector<FunctionEdges> ByModule(const std::vector<FunctionEdges>& functions) {
  std::map<std::string, FunctionEdges> modules;
  for (const FunctionEdges& f : functions) {
    // "<a::b::T as c::D>::f" is of module a::b.
    const size_t begin = f.name.find_first_not_of("<&");
    const std::string path = begin == std::string::npos ? "" : f.name.substr(begin);
    const size_t end = std::min(path.find_first_of("<> ("), path.size());
    const size_t own = path.substr(0, end).rfind("::");
    FunctionEdges& module =
        modules[own == std::string::npos ? path.substr(0, end) : path.substr(0, own)];
    module.edges += f.edges;
    module.reached += f.reached;
  }
  std::vector<FunctionEdges> sums;
  for (auto& [name, edges] : modules) {
    edges.name = name;
    sums.push_back(std::move(edges));
  }
  std::sort(sums.begin(), sums.end(), [](const FunctionEdges& a, const FunctionEdges& b) {
    return a.edges != b.edges ? a.edges > b.edges : a.name < b.name;
  });
  return sums;
}

}  // namespace crosscheck
