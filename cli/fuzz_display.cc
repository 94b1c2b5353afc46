#include "cli/fuzz_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

#include "cli/reports/campaign_screen.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr double kSecondsBetweenLines = 10;

// Asked before everything that is drawn, so that it may change at any time.
winsize Terminal() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {24, 80, 0, 0};
  return size;
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
                 {"supervisor_bytes", s.supervisor_bytes},
                 {"worker_bytes", s.worker_bytes},
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

void FuzzDisplay::Close() { drawn_.clear(); }

void FuzzDisplay::Print(const std::string& text) {
  if (form_ == Form::kNothing) return;
  Erase();
  std::cout << text << std::flush;
  if (form_ == Form::kScreen) Draw();
}

void FuzzDisplay::Erase() {
  if (drawn_.empty()) return;
  // Written together with what takes its place, so that nothing flickers.
  std::cout << fmt::format("\x1b[{}F\x1b[J", RowsOf(drawn_, Terminal().ws_col));
  drawn_.clear();
}

void FuzzDisplay::Draw() {
  const winsize size = Terminal();
  drawn_ = ScreenText(status_, size.ws_col, size.ws_row);
  std::cout << drawn_ << std::flush;
}

}  // namespace crosscheck
