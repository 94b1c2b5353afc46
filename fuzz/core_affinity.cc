#include "fuzz/core_affinity.h"

namespace crosscheck {

CoreAffinity::CoreAffinity(size_t worker, size_t workers) {
  CPU_ZERO(&before_);
  if (sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  if (workers > static_cast<size_t>(CPU_COUNT(&before_))) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  size_t seen = 0;
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &before_) && seen++ == worker) CPU_SET(core, &one);
  }
  changed_ = sched_setaffinity(0, sizeof one, &one) == 0;
}

CoreAffinity::~CoreAffinity() {
  if (changed_) sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace crosscheck
