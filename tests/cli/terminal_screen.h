// What a terminal shows of the bytes that were written to it, as far as `crosscheck` uses one:
// text, new lines, "up n lines" and "erase below". A narrower window breaks lines that were written
// before, as those of GNOME and KDE do.
#ifndef CROSSCHECK_TESTS_CLI_TERMINAL_SCREEN_H_
#define CROSSCHECK_TESTS_CLI_TERMINAL_SCREEN_H_

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace crosscheck {

class TerminalScreen {
 public:
  TerminalScreen(int columns, int rows) { Resize(columns, rows); }

  void Resize(int columns, int rows) {
    columns_ = static_cast<size_t>(columns);
    rows_ = static_cast<size_t>(rows);
  }

  void Write(std::string_view bytes) {
    pending_ += bytes;
    size_t at = 0;
    while (at < pending_.size()) {
      const size_t used = Take(std::string_view(pending_).substr(at));
      if (used == 0) break;  // the end of a sequence has not arrived
      at += used;
    }
    pending_.erase(0, at);
  }

  // The visible rows, from the top; the cursor's is the last one.
  std::vector<std::string> Rows() const {
    std::vector<std::string> rows;
    for (const std::string& line : lines_) {
      for (size_t at = 0; at == 0 || at < line.size(); at += columns_) {
        rows.push_back(line.substr(at, columns_));
      }
    }
    const size_t hidden = rows.size() > rows_ ? rows.size() - rows_ : 0;
    rows.erase(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(hidden));
    return rows;
  }

  int unknown() const { return unknown_; }  // sequences that this terminal does not know

 private:
  size_t Take(std::string_view text) {
    if (text[0] != '\x1b') return TakeCharacter(text);
    const size_t end = text.find_first_not_of("0123456789;?", 2);
    if (text.size() < 3 || end == std::string_view::npos) return 0;
    const std::string count(text.substr(2, end - 2));
    if (text[end] == 'F') {
      up_ = static_cast<size_t>(std::atoi(count.c_str()));
    } else if (text[end] == 'J' && count.empty()) {
      EraseBelow();
    } else {
      ++unknown_;
    }
    return end + 1;
  }

  // One character is one column: continuation bytes of UTF-8 are left out.
  size_t TakeCharacter(std::string_view text) {
    if (text[0] == '\n') {
      lines_.emplace_back();
    } else if (text[0] != '\r' && (static_cast<unsigned char>(text[0]) & 0xC0) != 0x80) {
      lines_.back() += text[0];
    }
    return 1;
  }

  size_t RowsOf(const std::string& line) const {
    return std::max<size_t>(1, (line.size() + columns_ - 1) / columns_);
  }

  // The cursor stands in the last row; it cannot leave the window.
  void EraseBelow() {
    size_t rows = std::min(up_, rows_ - 1);
    lines_.back().clear();
    while (rows > 0 && lines_.size() > 1) {
      std::string& above = lines_[lines_.size() - 2];
      const size_t height = RowsOf(above);
      if (height > rows) {
        lines_.pop_back();
        above.resize((height - rows) * columns_);
        lines_.emplace_back();
        break;
      }
      rows -= height;
      lines_.pop_back();
      lines_.back().clear();
    }
    up_ = 0;
  }

  size_t columns_ = 0, rows_ = 0, up_ = 0;
  std::vector<std::string> lines_ = {""};
  std::string pending_;
  int unknown_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_CLI_TERMINAL_SCREEN_H_
