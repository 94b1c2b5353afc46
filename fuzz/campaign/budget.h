// Divides time between arms (a property with a driver): half of it evenly, so that nothing starves,
// half in proportion to what each found per second lately. Deterministic given the same rewards.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_BUDGET_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_BUDGET_H_

#include <cstddef>
#include <vector>

namespace crosscheck {

class Budget {
 public:
  static constexpr double kEvenShare = 0.5;
  static constexpr double kMemory = 0.9;        // weight of the past, per batch of an arm
  static constexpr double kFindingReward = 20;  // in new inputs

  explicit Budget(size_t arms) : arms_(arms) {}

  // The arm that is furthest behind its share among those that `may_run`; -1 when none may.
  int Choose(const std::vector<bool>& may_run) const;
  // It runs from now on, so that another worker takes another arm.
  void Charge(int arm, double expected_seconds);
  // What the arm, charged with `expected_seconds`, took and brought.
  void Settle(int arm, double expected_seconds, double seconds, double reward);
  double Share(int arm) const;  // of the time from now on; sums to 1

 private:
  struct Arm {
    double credit = 0;  // seconds that it is behind its share
    double reward = 0, seconds = 0;
  };
  double Rate(const Arm& arm) const;
  std::vector<Arm> arms_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_BUDGET_H_
