// Where the time and the memory of a comparison go.
#ifndef CROSSCHECK_QUALITY_COST_H_
#define CROSSCHECK_QUALITY_COST_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace crosscheck::quality {

// What is done for a track.
enum class Work {
  kEngine,      // the engine answers, its messages included
  kStatistics,  // ten numbers of each position
  kComparison,  // KL, agreement and overlaps of each position
  kReference,   // the reference's logits of a position, from its dump or asked again
  kDump,        // shards are encoded, hashed, written and synced
};
inline constexpr std::string_view kWorkNames[] = {"engine", "statistics", "comparison",
                                                  "reference's rows", "dump"};

struct TimeShare {
  std::string side, track;
  double seconds[std::size(kWorkNames)] = {};
  int64_t positions = 0;  // or prompts, where a track has no positions
};

// Memory of one process while it did something; bytes.
struct MemoryShare {
  std::string process, phase;
  int64_t resident = 0;  // at the end of the phase
  int64_t peak = 0;      // since the phase before it
};

struct Cost {
  std::deque<TimeShare> times;  // in the order in which they were first asked for
  std::vector<MemoryShare> memory;

  TimeShare& Of(const std::string& side, const std::string& track);
  // Adds a row for `process`, 0: this one, whose peak then starts anew. Nothing where the system
  // does not tell.
  void AddMemory(pid_t process, const std::string& name, const std::string& phase);
};

// Adds the time until its end to a share.
class Timed {
 public:
  Timed(TimeShare& share, Work work) : seconds_(share.seconds[static_cast<size_t>(work)]) {}
  ~Timed() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  double& seconds_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COST_H_
