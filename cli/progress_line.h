// Progress of long work on stderr.
#ifndef CROSSCHECK_CLI_PROGRESS_LINE_H_
#define CROSSCHECK_CLI_PROGRESS_LINE_H_

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "cli/verb.h"
#include "fmt/format.h"

namespace crosscheck {

// A line of its own for each side and track, rewritten on a terminal, with the time that is left.
class ProgressLine {
 public:
  void operator()(std::string_view side, std::string_view track, int64_t done, int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    const std::string name = absl::StrCat(std::string(side), ", ", std::string(track));
    if (name != name_) {
      name_ = name;
      start_ = now;
      from_ = done;
    }
    const bool last = done >= total;
    if (!last && now - shown_ < std::chrono::milliseconds(LiveTerminal() ? 200 : 10000)) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 0 ? static_cast<double>(done - from_) / seconds : 0;
    std::string line = fmt::format("{}: {}/{}", name, done, total);
    if (!last && rate > 0) line += fmt::format(", {:.0f} s left", (total - done) / rate);
    if (last) line += fmt::format(", {:.1f} s", seconds);
    std::cerr << (LiveTerminal() ? "\r\x1b[K" : "") << line << (LiveTerminal() && !last ? "" : "\n")
              << std::flush;
  }

 private:
  std::string name_;
  int64_t from_ = 0;
  std::chrono::steady_clock::time_point start_, shown_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_PROGRESS_LINE_H_
