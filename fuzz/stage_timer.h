// Adds its lifetime to a stage of StageSeconds.
#ifndef CROSSCHECK_FUZZ_STAGE_TIMER_H_
#define CROSSCHECK_FUZZ_STAGE_TIMER_H_

#include <chrono>

namespace crosscheck {

class StageTimer {
 public:
  explicit StageTimer(double& seconds) : seconds_(seconds) {}
  ~StageTimer() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  double& seconds_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_STAGE_TIMER_H_
