#include "engines/scratch_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace crosscheck {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::unique_ptr<ScratchFolder> Create(const std::string& base = "") {
  auto folder = ScratchFolder::Create(base);
  EXPECT_TRUE(folder.ok()) << folder.status();
  return folder.ok() ? *std::move(folder) : nullptr;
}

void Fill(const std::string& path) {
  fs::create_directories(path + "/deep/er");
  for (int i = 0; i < 300; ++i) std::ofstream(path + "/deep/er/file" + std::to_string(i)) << "x";
  fs::create_symlink("/", path + "/deep/link");
}

TEST(ScratchFolderTest, IsPrivateAndGoesWithItsContents) {
  std::string path;
  {
    const auto folder = Create();
    path = folder->path();
    struct stat info{};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    Fill(path);
    struct stat file{};
    ASSERT_EQ(stat((path + "/deep/er/file0").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0022, 0u) << "lattice refuses files that others may write";
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists("/")) << "links are not followed";
}

TEST(ScratchFolderTest, RemovesAllFoldersOfTheProcessForSignalHandlers) {
  const auto first = Create();
  const auto second = Create();
  Fill(first->path());
  RemoveAllScratchFolders();
  EXPECT_FALSE(fs::exists(first->path()));
  EXPECT_FALSE(fs::exists(second->path()));
}

// Its path: the one made last in `base`, by a process that ended without its destructor, as after
// SIGKILL.
std::string FolderOfADeadProcess(const std::string& base) {
  const pid_t child = fork();
  if (child == 0) {
    const auto dying = ScratchFolder::Create(base);
    _exit(dying.ok() ? 0 : 1);
  }
  int status = 1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::string last;
  for (const auto& entry : fs::directory_iterator(base)) {
    if (entry.is_directory()) last = std::max(last, entry.path().string());
  }
  return last;
}

TEST(ScratchFolderTest, SweepsFoldersOfDeadProcessesAndKeepsThoseOfLivingOnes) {
  const auto base = Create();
  const auto living = Create(base->path());
  ASSERT_NE(FolderOfADeadProcess(base->path()), living->path());
  const auto count = [&] {
    return std::distance(fs::directory_iterator(base->path()), fs::directory_iterator());
  };
  EXPECT_EQ(count(), 3) << "lock file, living folder, dead folder";
  const auto sweeper = Create(base->path());
  EXPECT_EQ(count(), 3) << "lock file, living folder, folder of the sweeper";
  EXPECT_TRUE(fs::exists(living->path()));
}

// What an engine's process does when its parent is gone, perhaps after the next one has begun.
TEST(ScratchFolderTest, OnlyAnAbandonedFolderIsRemovedOnItsProcessBehalf) {
  const auto base = Create();
  const std::string name = FolderOfADeadProcess(base->path());
  auto next = Create(base->path());  // sweeps it and takes its name
  ASSERT_EQ(next->path(), name);
  Fill(name);
  RemoveAbandonedScratchFolder(name);
  EXPECT_TRUE(fs::exists(name));
  next.reset();
  EXPECT_FALSE(fs::exists(name));
}

TEST(ScratchFolderTest, TheFolderOfADeadProcessIsRemovedOnItsBehalf) {
  const auto base = Create();
  const std::string name = FolderOfADeadProcess(base->path());
  ASSERT_TRUE(fs::exists(name));
  RemoveAbandonedScratchFolder(name);
  EXPECT_FALSE(fs::exists(name));
}

// After a signal handler the name is free: a destructor must not take the folder that has it now.
TEST(ScratchFolderTest, AFolderThatWasRemovedForASignalIsNotRemovedAgain) {
  const auto base = Create();
  auto first = Create(base->path());
  const std::string name = first->path();
  RemoveTree(name.c_str());
  const auto second = Create(base->path());
  ASSERT_EQ(second->path(), name);
  first.reset();
  EXPECT_TRUE(fs::exists(name));
}

TEST(ScratchFolderTest, NamesAreCountedSoThatTheyAreTheSameInEveryRun) {
  const auto base = Create();
  const std::string first = Create(base->path())->path();
  EXPECT_EQ(Create(base->path())->path(), first);
  const auto held = Create(base->path());
  const auto second = Create(base->path());
  EXPECT_EQ(held->path(), first);
  EXPECT_NE(second->path(), first);
  EXPECT_EQ(second->path().size(), first.size());
}

// Makes folders one after another and looks whether each stays its own.
bool AllStayOwn(const std::string& base, const std::string& name) {
  for (int i = 0; i < 200; ++i) {
    const auto folder = ScratchFolder::Create(base);
    if (!folder.ok()) return false;
    std::ofstream((*folder)->path() + "/" + name) << i;
    const auto inside = std::distance(fs::directory_iterator((*folder)->path()), {});
    if (inside != 2) return false;  // the lock and this file
  }
  return true;
}

TEST(ScratchFolderTest, ManyProcessesAtOnceKeepTheirOwnFolders) {
  const auto base = Create();
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(AllStayOwn(base->path(), "of" + std::to_string(i)) ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST(ScratchFolderTest, SaysWhereItCannotBeMade) {
  const auto folder = ScratchFolder::Create("/nowhere/at/all");
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(std::string(folder.status().message()),
              HasSubstr("cannot create a scratch folder in /nowhere/at/all"));
}

TEST(ScratchFolderTest, ReportsMoreFoldersThanItCanTrack) {
  std::vector<std::unique_ptr<ScratchFolder>> folders;
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    auto folder = ScratchFolder::Create();
    status = folder.status();
    if (folder.ok()) folders.push_back(*std::move(folder));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  folders.clear();
  EXPECT_NE(Create(), nullptr);
}

}  // namespace
}  // namespace crosscheck
