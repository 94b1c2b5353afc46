#include "fuzz/campaign/budget.h"

#include <algorithm>

namespace crosscheck {

// An arm that has not run yet counts as good as the best.
double Budget::Rate(const Arm& arm) const {
  const auto rate = [](const Arm& a) { return a.seconds > 0 ? a.reward / a.seconds : 0; };
  if (arm.seconds > 0) return rate(arm);
  double best = 0;
  for (const Arm& other : arms_) best = std::max(best, rate(other));
  return best;
}

double Budget::Share(int arm) const {
  double sum = 0;
  for (const Arm& other : arms_) sum += Rate(other);
  const double even = 1 / static_cast<double>(arms_.size());
  if (sum <= 0) return even;
  return kEvenShare * even + (1 - kEvenShare) * Rate(arms_[static_cast<size_t>(arm)]) / sum;
}

int Budget::Choose(const std::vector<bool>& may_run) const {
  int best = -1;
  for (size_t i = 0; i < arms_.size(); ++i) {
    if (!may_run[i]) continue;
    if (best < 0 || arms_[i].credit > arms_[static_cast<size_t>(best)].credit) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

void Budget::Charge(int arm, double expected_seconds) {
  arms_[static_cast<size_t>(arm)].credit -= expected_seconds;
}

void Budget::Settle(int arm, double expected_seconds, double seconds, double reward) {
  for (size_t i = 0; i < arms_.size(); ++i) {
    arms_[i].credit += Share(static_cast<int>(i)) * seconds;
  }
  Arm& ran = arms_[static_cast<size_t>(arm)];
  ran.credit += expected_seconds - seconds;
  ran.reward = kMemory * ran.reward + reward;
  ran.seconds = kMemory * ran.seconds + seconds;
}

}  // namespace crosscheck
