#include "cli/fuzz_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <vector>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr double kSecondsBetweenLines = 10;

std::string Clock(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string Left(const CampaignStatus& s) {
  return s.seconds_left < 0 ? "until Ctrl-C" : Clock(std::max(0.0, s.seconds_left)) + " left";
}

std::string Headline(const CampaignStatus& s) {
  return fmt::format("{}  {} cases, {:.0f} per second, {} findings, {} near ties, {}",
                     Clock(s.run_seconds), s.cases, s.cases_per_second, s.findings, s.near_ties,
                     Left(s));
}

std::string SearchLine(const CampaignStatus& s) {
  std::string edges = s.edges > 0 ? fmt::format(", {} edges", s.edges) : "";
  return fmt::format("{} features{}, {} inputs kept, {:.0f} MB, {} restarts{}", s.features, edges,
                     s.inputs, static_cast<double>(s.rss_bytes) / 1e6, s.restarts,
                     s.waiting > 0 ? fmt::format(", {} batches waiting", s.waiting) : "");
}

void WriteJsonLine(const json& line) {
  std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

json FindingJson(const FindingRow& f, FindingDesk::News news) {
  return {{"event", news == FindingDesk::News::kFound ? "finding" : "reduced"},
          {"signature", f.signature},
          {"property", f.property},
          {"engine", f.engine},
          {"verdict", f.verdict},
          {"state", kFindingStateNames[static_cast<size_t>(f.state)]},
          {"case", f.case_file},
          {"count", f.count},
          {"elapsed", f.elapsed},
          {"first_case", f.first_case},
          {"evaluations", f.evaluations},
          {"replays", f.replays},
          {"failures", f.failures},
          {"localised", f.localised},
          {"message", f.message}};
}

}  // namespace

std::string ScreenText(const CampaignStatus& s, int columns, int rows) {
  double busy = 0;
  for (const BatchRow& row : s.properties) busy += row.seconds;
  std::vector<std::string> lines = {
      Headline(s), SearchLine(s),
      fmt::format("{:22}{:>10}{:>10}{:>10}{:>8}{:>8}{:>7}", "property", "cases", "near ties",
                  "findings", "known", "inputs", "time")};
  for (const BatchRow& row : s.properties) {
    lines.push_back(fmt::format("{:22}{:>10}{:>10}{:>10}{:>8}{:>8}{:>5.0f} %", row.property,
                                row.cases, row.near_ties, row.findings, row.known, row.new_inputs,
                                busy > 0 ? 100 * row.seconds / busy : 0));
  }
  const auto height = static_cast<size_t>(std::max(rows - 1, 2));
  if (lines.size() > height) {
    const size_t hidden = lines.size() - height + 1;
    lines.resize(height - 1);
    lines.push_back(fmt::format("… {} more lines: enlarge the terminal", hidden));
  }
  std::string text;
  for (const std::string& line : lines) {
    text += line.substr(0, static_cast<size_t>(std::max(columns - 1, 10))) + "\n";
  }
  return text;
}

CampaignObserver FuzzDisplay::Observer() {
  return {.finding = [this](const FindingRow& f, FindingDesk::News news) { Finding(f, news); },
          .notice = [this](const std::string& text) { Notice(text); },
          .status = [this](const CampaignStatus& status) { Status(status); },
          .sample = [this](const SampleRow& sample) { Sample(sample); },
          .batch = [this](const BatchRow& batch) { Batch(batch); }};
}

void FuzzDisplay::Finding(const FindingRow& f, FindingDesk::News news) {
  if (form_ == Form::kJsonLines) return WriteJsonLine(FindingJson(f, news));
  if (news == FindingDesk::News::kFound) {
    return Print(fmt::format("{} {} on {}, after {:.1f} s\n  {}\n  replay: crosscheck replay {}\n",
                             f.verdict, f.signature, f.engine, f.elapsed, f.message, f.case_file));
  }
  const std::string rate =
      f.replays == 0 ? "could not be replayed"
      : f.state == FindingState::kFlaky
          ? fmt::format("FLAKY: fails in {} of {} replays", f.failures, f.replays)
          : fmt::format("confirmed in {} of {} replays", f.failures, f.replays);
  Print(fmt::format("{} {} after {} evaluations, {}: {}\n{}", f.minimal ? "smallest" : "reduced",
                    f.signature, f.evaluations, rate, f.case_file,
                    f.localised.empty() ? "" : "  " + f.localised + "\n"));
}

void FuzzDisplay::Notice(const std::string& text) {
  if (form_ == Form::kJsonLines) return WriteJsonLine({{"event", "notice"}, {"text", text}});
  Print("crosscheck: " + text + "\n");
}

void FuzzDisplay::Status(const CampaignStatus& status) {
  status_ = status;
  if (form_ == Form::kScreen) {
    Erase();
    Draw();
  } else if (form_ == Form::kLines && status.run_seconds >= next_line_) {
    next_line_ = status.run_seconds + kSecondsBetweenLines;
    Print(Headline(status) + "; " + SearchLine(status) + "\n");
  }
}

void FuzzDisplay::Sample(const SampleRow& s) const {
  if (form_ != Form::kJsonLines) return;
  WriteJsonLine({{"event", "sample"},
                 {"elapsed", s.elapsed},
                 {"cases", s.cases},
                 {"features", s.features},
                 {"edges", s.edges},
                 {"inputs", s.inputs},
                 {"findings", s.findings},
                 {"near_ties", s.near_ties},
                 {"rss_bytes", s.rss_bytes},
                 {"disk_bytes", s.disk_bytes}});
}

void FuzzDisplay::Batch(const BatchRow& b) const {
  if (form_ != Form::kJsonLines) return;
  WriteJsonLine({{"event", "batch"},
                 {"elapsed", b.elapsed},
                 {"engine", b.engine},
                 {"property", b.property},
                 {"driver", b.driver},
                 {"first", b.first},
                 {"cases", b.cases},
                 {"findings", b.findings},
                 {"known", b.known},
                 {"near_ties", b.near_ties},
                 {"seconds", b.seconds},
                 {"new_features", b.new_features},
                 {"new_inputs", b.new_inputs}});
}

void FuzzDisplay::Close() { drawn_lines_ = 0; }

void FuzzDisplay::Print(const std::string& text) {
  if (form_ == Form::kNothing) return;
  Erase();
  std::cout << text << std::flush;
  if (form_ == Form::kScreen) Draw();
}

void FuzzDisplay::Erase() {
  if (drawn_lines_ > 0) std::cout << fmt::format("\x1b[{}F\x1b[J", drawn_lines_) << std::flush;
  drawn_lines_ = 0;
}

void FuzzDisplay::Draw() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
  const std::string text = ScreenText(status_, size.ws_col, size.ws_row);
  drawn_lines_ = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  std::cout << text << std::flush;
}

}  // namespace crosscheck
