// Runs the built command as a user would and keeps what it printed.
#ifndef CROSSCHECK_TESTS_CLI_COMMAND_H_
#define CROSSCHECK_TESTS_CLI_COMMAND_H_

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace crosscheck {

struct CommandResult {
  int exit_code = -1;
  std::string out, err;
};

// The folder of the build tree: the tests live in <build>/tests, the command in <build>.
inline std::filesystem::path BuildFolder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
}

inline std::string Slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A fresh folder below the test's temporary folder, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "crosscheck-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// `arguments` goes through sh, so quotes and redirections work; `prefix` stands before the command,
// e.g. "ulimit -f 0; ".
inline CommandResult RunCrosscheck(const std::string& arguments, const std::string& prefix = "") {
  TemporaryFolder folder;
  std::string out = (folder.path() / "out").string();
  std::string err = (folder.path() / "err").string();
  std::string line = "( " + prefix + (BuildFolder() / "crosscheck").string() + " " + arguments +
                     " ) >" + out + " 2>" + err;
  int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), Slurp(out), Slurp(err)};
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_CLI_COMMAND_H_
