#include "engines/input_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

class InputFilesTest : public testing::Test {
 protected:
  unsigned ModeOf(const std::string& name) const {
    struct stat info{};
    EXPECT_EQ(lstat((folder_ + "/" + name).c_str(), &info), 0) << name;
    return info.st_mode & 07777;
  }

  const OwnFolder own_;
  const std::string folder_ = own_.path();
};

TEST_F(InputFilesTest, BytesAndModesAreWrittenWhateverTheUmaskIs) {
  const mode_t before = umask(077);
  const absl::Status status =
      WriteInputFiles({{.name = "a", .bytes = std::string("\0x", 2), .mode = 0666},
                       {.name = "sub/b", .bytes = "", .mode = 0400}},
                      folder_);
  umask(before);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadFile(folder_ + "/a").value_or(""), std::string("\0x", 2));
  EXPECT_EQ(ReadFile(folder_ + "/sub/b").value_or("none"), "");
  EXPECT_EQ(ModeOf("a"), 0666u);
  EXPECT_EQ(ModeOf("sub/b"), 0400u);
}

TEST_F(InputFilesTest, LinksHoldTheirText) {
  ASSERT_TRUE(WriteInputFiles({{.name = "a", .bytes = "x"},
                               {.name = "l", .bytes = "", .link_to = "a"},
                               {.name = "dangling", .bytes = "", .link_to = "../none"}},
                              folder_)
                  .ok());
  EXPECT_EQ(ReadFile(folder_ + "/l").value_or(""), "x");
  EXPECT_EQ(std::filesystem::read_symlink(folder_ + "/dangling"), "../none");
}

TEST_F(InputFilesTest, LaterFileReplacesTheEarlierAndNotWhatItLinksTo) {
  ASSERT_TRUE(WriteInputFiles({{.name = "a", .bytes = "first"},
                               {.name = "l", .bytes = "", .link_to = "a"},
                               {.name = "l", .bytes = "second"}},
                              folder_)
                  .ok());
  EXPECT_EQ(ReadFile(folder_ + "/a").value_or(""), "first");
  EXPECT_EQ(ReadFile(folder_ + "/l").value_or(""), "second");
}

TEST_F(InputFilesTest, NamesThatLeaveTheFolderAreErrors) {
  for (const char* name : {"../x", "/x", "a/../x", "", ".", "a//x"}) {
    EXPECT_EQ(WriteInputFiles({{.name = name, .bytes = "x"}}, folder_).code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

}  // namespace
}  // namespace crosscheck
