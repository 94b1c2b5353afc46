#include "cli/reports/compare_cost.h"

#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/reports/html.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using quality::Cost;
using quality::MemoryShare;
using quality::TimeShare;

using Rows = std::vector<std::vector<std::string>>;

const std::vector<std::string> kMemoryHeader = {"process", "phase", "GiB at its end",
                                                "GiB at most"};

std::vector<std::string> TimeHeader() {
  std::vector<std::string> header = {"side", "track", "positions"};
  for (const std::string_view work : quality::kWorkNames) {
    header.push_back(absl::StrCat(std::string(work), " s"));
  }
  return header;
}

std::string Gibibytes(int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / (int64_t{1} << 30));
}

Rows TimeRows(const Cost& cost) {
  Rows rows;
  for (const TimeShare& share : cost.times) {
    rows.push_back({share.side, share.track, absl::StrCat(share.positions)});
    for (const double seconds : share.seconds)
      rows.back().push_back(fmt::format("{:.2f}", seconds));
  }
  return rows;
}

Rows MemoryRows(const Cost& cost) {
  Rows rows;
  for (const MemoryShare& share : cost.memory) {
    rows.push_back({share.process, share.phase, Gibibytes(share.resident), Gibibytes(share.peak)});
  }
  return rows;
}

std::string TableText(const std::vector<std::string>& header, const Rows& rows) {
  std::string text = absl::StrCat("\n| ", absl::StrJoin(header, " | "), " |\n|");
  for (size_t i = 0; i < header.size(); ++i) text += "---|";
  text += "\n";
  for (const auto& row : rows) absl::StrAppend(&text, "| ", absl::StrJoin(row, " | "), " |\n");
  return text;
}

Markup TableMarkup(const char* caption, const std::vector<std::string>& header, const Rows& rows) {
  HtmlTable table{.caption = caption, .columns = {}, .rows = {}};
  for (size_t i = 0; i < header.size(); ++i) table.columns.push_back({header[i], i > 1});
  for (const auto& row : rows) table.rows.emplace_back(row.begin(), row.end());
  return table.Render();
}

}  // namespace

json CostJson(const Cost& cost) {
  json times = json::array(), memory = json::array();
  for (const TimeShare& share : cost.times) {
    json seconds = json::object();
    for (size_t i = 0; i < std::size(quality::kWorkNames); ++i) {
      seconds[std::string(quality::kWorkNames[i])] = share.seconds[i];
    }
    times.push_back({{"side", share.side},
                     {"track", share.track},
                     {"positions", share.positions},
                     {"seconds", seconds}});
  }
  for (const MemoryShare& share : cost.memory) {
    memory.push_back({{"process", share.process},
                      {"phase", share.phase},
                      {"resident", share.resident},
                      {"peak", share.peak}});
  }
  return {{"times", times}, {"memory", memory}};
}

std::string CostMarkdown(const Cost& cost) {
  if (cost.times.empty()) return "";
  return absl::StrCat("\nTime of this run:\n", TableText(TimeHeader(), TimeRows(cost)),
                      "\nMemory, of each process while it did so:\n",
                      TableText(kMemoryHeader, MemoryRows(cost)));
}

Markup CostTables(const Cost& cost) {
  if (cost.times.empty()) return {};
  return TableMarkup("Time of this run", TimeHeader(), TimeRows(cost)) +
         TableMarkup("Memory of each process while it did so", kMemoryHeader, MemoryRows(cost));
}

}  // namespace crosscheck
