// The live screen of `crosscheck fuzz` on a terminal that changes its size, and Ctrl-C there.
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "cli/reports/campaign_screen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/terminal_screen.h"
#include "tests/fuzz/campaign_process.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

// A command on a terminal of its own.
class Terminal {
 public:
  Terminal(std::vector<std::string> argv, int columns, int rows) : screen_(columns, rows) {
    std::vector<char*> pointers;
    for (std::string& word : argv) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    winsize size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
    pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      unsetenv("NO_COLOR");
      execv(pointers[0], pointers.data());
      _exit(127);
    }
  }
  ~Terminal() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(terminal_);
  }

  void Resize(int columns, int rows) {
    ReadFor(std::chrono::milliseconds(0));  // written before it changed
    const winsize size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0,
                       0};
    ASSERT_EQ(ioctl(terminal_, TIOCSWINSZ, &size), 0);
    screen_.Resize(columns, rows);
  }
  void Type(char key) const { ASSERT_EQ(write(terminal_, &key, 1), 1); }

  // Reads until the screen was drawn `times` times more, or it ended.
  void Draws(int times) {
    const size_t wanted = drawn_ + static_cast<size_t>(times);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (drawn_ < wanted && !closed_ && std::chrono::steady_clock::now() < deadline) {
      ReadFor(std::chrono::milliseconds(100));
    }
    EXPECT_GE(drawn_, wanted);
    ReadFor(std::chrono::milliseconds(200));  // the rest of a draw that came in two pieces
  }
  // Its exit code; what it prints until then is read.
  int End() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (!closed_ && std::chrono::steady_clock::now() < deadline) {
      ReadFor(std::chrono::milliseconds(100));
    }
    int status = 0;
    return waitpid(pid_, &status, closed_ ? 0 : WNOHANG) == pid_ && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : -1;
  }

  const TerminalScreen& screen() const { return screen_; }
  int RowsWith(const std::string& text) const {
    int rows = 0;
    for (const std::string& row : screen_.Rows()) rows += row.find(text) != row.npos ? 1 : 0;
    return rows;
  }
  std::string Text() const {
    std::string text;
    for (const std::string& row : screen_.Rows()) text += row + "\n";
    return text;
  }

 private:
  void ReadFor(std::chrono::milliseconds patience) {
    pollfd wait{terminal_, POLLIN, 0};
    while (poll(&wait, 1, static_cast<int>(patience.count())) > 0) {
      char block[4096];
      const ssize_t count = read(terminal_, block, sizeof block);
      if (count <= 0) {  // EIO: the other side has ended
        closed_ = true;
        return;
      }
      const std::string_view text(block, static_cast<size_t>(count));
      for (size_t at = 0; (at = text.find("\x1b[J", at)) != text.npos; ++at) ++drawn_;
      screen_.Write(text);
      patience = std::chrono::milliseconds(0);
    }
  }

  TerminalScreen screen_;
  pid_t pid_ = -1;
  int terminal_ = -1;
  size_t drawn_ = 0;
  bool closed_ = false;
};

// One screen, whole and within the window. A row that is being drawn has no end yet, so the test
// looks after a whole one.
void ExpectOneScreen(const Terminal& terminal, size_t columns) {
  EXPECT_EQ(terminal.screen().unknown(), 0);
  EXPECT_EQ(terminal.RowsWith(" per second, "), 1) << terminal.Text();
  EXPECT_LE(terminal.RowsWith("features"), 1) << terminal.Text();
  EXPECT_THAT(terminal.screen().Rows(), Each(SizeIs(testing::Le(columns)))) << terminal.Text();
}

TEST(CampaignTerminalTest, TheScreenFollowsTheWindowAndCtrlCEndsItInOrder) {
  const OwnFolder own;
  Terminal terminal(CampaignCommand(own.path(), "exact", {"--for", "600s"}), 100, 24);
  terminal.Draws(4);
  ExpectOneScreen(terminal, 100);
  EXPECT_EQ(terminal.RowsWith("generation_contract"), 1) << terminal.Text();
  terminal.Resize(60, 24);  // each line that was drawn is two rows now
  terminal.Draws(3);
  ExpectOneScreen(terminal, 60);
  terminal.Resize(160, 40);
  terminal.Draws(3);
  ExpectOneScreen(terminal, 160);
  EXPECT_EQ(terminal.RowsWith("until Ctrl-C") + terminal.RowsWith(" left"), 1) << terminal.Text();
  terminal.Resize(70, 4);
  terminal.Draws(3);
  EXPECT_EQ(terminal.RowsWith("enlarge the terminal"), 1) << terminal.Text();
  terminal.Resize(100, 40);
  terminal.Draws(2);
  terminal.Type('\x03');
  EXPECT_EQ(terminal.End(), 0) << terminal.Text();
  EXPECT_THAT(terminal.Text(), HasSubstr("cases in "));  // the summary
  EXPECT_EQ(ReadCampaign(own.path())->runs.at(0).ended, "signal");
}

TEST(CampaignTerminalTest, RowsOfATextAreCountedAsATerminalBreaksThem) {
  EXPECT_EQ(RowsOf("", 10), 0);
  EXPECT_EQ(RowsOf("0123456789\n\nx\n", 10), 3);
  EXPECT_EQ(RowsOf("0123456789a\n", 10), 2);
  EXPECT_EQ(RowsOf("………\n", 3), 1);
  EXPECT_EQ(RowsOf("0123456789\n", 3), 4);
}

// The terminal of this test breaks lines that become too long, and so sees what is left over when
// only lines are counted.
TEST(CampaignTerminalTest, ALineThatWasBrokenIsSeen) {
  TerminalScreen screen(10, 5);
  screen.Write("0123456789\r\nend\r\n");
  screen.Resize(4, 5);
  EXPECT_THAT(screen.Rows(), testing::ElementsAre("0123", "4567", "89", "end", ""));
  screen.Write("\x1b[2F\x1b[Jnew\r\n");
  EXPECT_THAT(screen.Rows(), testing::ElementsAre("0123", "4567", "new", ""));
}

}  // namespace
}  // namespace crosscheck
