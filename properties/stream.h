// Named random streams: every draw is a function of (seed, name, counter). No global state, no
// random_device, no clock.
#ifndef CROSSCHECK_PROPERTIES_STREAM_H_
#define CROSSCHECK_PROPERTIES_STREAM_H_

#include <cstdint>
#include <string_view>

#include "reference/weights.h"

namespace crosscheck {

class Stream {
 public:
  Stream(uint64_t seed, std::string_view name) : Stream(seed, seed, name) {}
  // Fields inside a Shared group (the model) are drawn from `shared_seed`, so that successive cases
  // share them: one load serves many cases.
  Stream(uint64_t seed, uint64_t shared_seed, std::string_view name)
      : key_(MixBits(seed ^ HashName(name))),
        shared_key_(MixBits(shared_seed ^ HashName(name) ^ 0x5eedu)) {}

  uint64_t Next() { return MixBits(key_ + 0x9e3779b97f4a7c15ull * ++counter_); }
  // Uniform in lo..hi, both included; lo <= hi.
  int64_t Int(int64_t lo, int64_t hi) {
    uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) + 1;
    uint64_t draw =
        span == 0 ? Next()
                  : static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * span) >> 64);
    return static_cast<int64_t>(static_cast<uint64_t>(lo) + draw);
  }
  bool OneIn(int n) { return Int(1, n) == 1; }
  // An independent stream of its own name; drawing from it does not move this one.
  Stream Fork(std::string_view name) const { return Child(key_, name); }
  Stream Shared(std::string_view name) const { return Child(shared_key_, name); }

 private:
  Stream Child(uint64_t key, std::string_view name) const {
    Stream child = *this;
    child.key_ = MixBits(key ^ HashName(name));
    child.shared_key_ = MixBits(shared_key_ ^ HashName(name));
    child.counter_ = 0;
    return child;
  }
  uint64_t key_;
  uint64_t shared_key_;
  uint64_t counter_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_STREAM_H_
