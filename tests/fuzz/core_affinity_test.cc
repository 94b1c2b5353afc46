#include "fuzz/core_affinity.h"

#include <gtest/gtest.h>

namespace crosscheck {
namespace {

int Cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}

TEST(CoreAffinityTest, HoldsTheThreadOnOneCoreAndLetsItGo) {
  const int before = Cores();
  {
    CoreAffinity pin(0, 1);
    EXPECT_EQ(Cores(), 1);
  }
  EXPECT_EQ(Cores(), before);
}

TEST(CoreAffinityTest, LeavesMoreWorkersThanCoresAlone) {
  const int before = Cores();
  CoreAffinity pin(0, static_cast<size_t>(before) + 1);
  EXPECT_EQ(Cores(), before);
}

}  // namespace
}  // namespace crosscheck
