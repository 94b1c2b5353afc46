// A folder for the files of one test.
#ifndef CROSSCHECK_TESTS_OWN_FOLDER_H_
#define CROSSCHECK_TESTS_OWN_FOLDER_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace crosscheck {

// A path that nobody else uses. Nothing is there at first; what is there at the end is removed.
class OwnFolder {
 public:
  OwnFolder()
      : path_(testing::TempDir() + "crosscheck_test." + std::to_string(getpid()) + "." +
              std::to_string(made_++)) {
    std::filesystem::remove_all(path_);
  }
  ~OwnFolder() { std::filesystem::remove_all(path_); }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  static inline int made_ = 0;
  const std::string path_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_OWN_FOLDER_H_
