// Preloaded into a process: its wall clock jumps between 1970 and a day later with every reading.
// The monotonic clocks go on as they are.
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

namespace {

constexpr time_t kDay = 86'400;

time_t Jump() {
  static std::atomic<int> readings = 0;
  return readings++ % 2 == 0 ? 0 : kDay;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* now) noexcept {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    return static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  }
  *now = {Jump(), 0};
  return 0;
}

int gettimeofday(struct timeval* now, void* /*zone*/) noexcept {
  *now = {Jump(), 0};
  return 0;
}

time_t time(time_t* now) noexcept {
  const time_t jumped = Jump();
  if (now != nullptr) *now = jumped;
  return jumped;
}

}  // extern "C"
