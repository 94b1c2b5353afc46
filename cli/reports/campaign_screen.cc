#include "cli/reports/campaign_screen.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fmt/format.h"

namespace crosscheck {
namespace {

std::string Clock(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string Left(const CampaignStatus& s) {
  return s.seconds_left < 0 ? "until Ctrl-C" : Clock(std::max(0.0, s.seconds_left)) + " left";
}

// Of UTF-8: the bytes that follow are part of the same character.
bool StartsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::string FirstCharacters(const std::string& line, size_t count) {
  size_t end = 0;
  for (; end < line.size(); ++end) {
    if (StartsCharacter(line[end]) && count-- == 0) break;
  }
  return line.substr(0, end);
}

}  // namespace

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
    text += FirstCharacters(line, static_cast<size_t>(std::max(columns - 1, 10))) + "\n";
  }
  return text;
}

int RowsOf(std::string_view text, int columns) {
  int rows = 0, column = 0;
  for (const char c : text) {
    if (c == '\n') {
      ++rows;
      column = 0;
    } else if (StartsCharacter(c) && ++column > columns) {
      ++rows;
      column = 1;
    }
  }
  return rows;
}

}  // namespace crosscheck
