// Workers that do not answer: one that hangs is killed, one that waits for a core is not.
#include <poll.h>

#include <thread>

#include "fuzz/campaign/worker_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

using testing::StartsWith;

// What becomes of a task that is given to a worker which runs this script.
TaskEnd EndOfATask(const std::string& script, double task_seconds) {
  auto targets = FuzzTargets::Find("", "", {});
  EXPECT_TRUE(targets.ok()) << targets.status();
  WorkerPool pool({"/bin/sh", "-c", script}, 1, *targets, {.task_seconds = task_seconds});
  EXPECT_TRUE(pool.Run(0, Task(), 1, {}).ok());
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (std::chrono::steady_clock::now() < give_up) {
    std::vector<TaskEnd> ends = pool.Collect();
    if (!ends.empty()) return ends[0];
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ADD_FAILURE() << "the task did not end";
  return {};
}

TEST(WorkerPoolTest, AnAnswerEndsATask) {
  const TaskEnd end =
      EndOfATask("read request; echo '{\"op\": \"batch\", \"x\": 3}'; read more", 60);
  EXPECT_EQ(end.kind, TaskEnd::Kind::kAnswered);
  EXPECT_EQ(end.answer.at("x"), 3);
}

// Here it is there even before the request, so that no scheduling of processes hides the loss.
TEST(WorkerPoolTest, AnAnswerIsNeverTooEarly) {
  auto targets = FuzzTargets::Find("", "", {});
  WorkerPool pool({"/bin/sh", "-c",
                   "read hello; echo '{\"op\": \"hello\", \"hello\": {}}'; sleep 0.3; "
                   "echo '{\"op\": \"batch\"}'; while read line; do :; done"},
                  1, *targets, {.task_seconds = 60});
  ASSERT_TRUE(pool.Hello({"exact"}).ok());
  pollfd answer{pool.outputs().at(0), POLLIN, 0};
  ASSERT_EQ(poll(&answer, 1, 60'000), 1);
  ASSERT_TRUE(pool.Run(0, Task(), 1, {}).ok());
  const std::vector<TaskEnd> ends = pool.Collect();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].kind, TaskEnd::Kind::kAnswered);
}

TEST(WorkerPoolTest, AWorkerThatSleepsIsKilledAtItsDeadline) {
  const TaskEnd end = EndOfATask("while read line; do :; done", 0.3);
  EXPECT_EQ(end.kind, TaskEnd::Kind::kDied);
  EXPECT_EQ(end.reason, "no answer within 0.3 s");
  EXPECT_GE(end.seconds, 0.3);
}

TEST(WorkerPoolTest, AWorkerThatSpinsIsKilledWhenItHasUsedItsTimeUp) {
  const TaskEnd end = EndOfATask("while :; do :; done", 0.3);
  EXPECT_EQ(end.kind, TaskEnd::Kind::kDied);
  EXPECT_THAT(end.reason, StartsWith("no answer within"));
}

TEST(WorkerPoolTest, AWorkerThatWaitsForACoreIsNotLate) {
  EXPECT_TRUE(IsStarved({.runnable = true, .cpu_seconds = 101}, 100, 300));
  EXPECT_FALSE(IsStarved({.runnable = false, .cpu_seconds = 101}, 100, 300));  // it sleeps
  EXPECT_FALSE(IsStarved({.runnable = true, .cpu_seconds = 250}, 100, 300));   // it spins
}

}  // namespace
}  // namespace crosscheck
