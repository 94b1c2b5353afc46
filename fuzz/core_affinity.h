// A worker and its engine's process take turns, so they share one core: waking a process on
// another, idle core costs a virtual machine 50-100 us per message, five times the exchange itself.
// Conduct only, it never changes a verdict.
#ifndef CROSSCHECK_FUZZ_CORE_AFFINITY_H_
#define CROSSCHECK_FUZZ_CORE_AFFINITY_H_

#include <sched.h>

#include <cstddef>

namespace crosscheck {

// While it lives, the calling thread and the processes that it starts run on the worker-th of the
// cores that this thread may use; nothing happens when there are more workers than cores.
class CoreAffinity {
 public:
  CoreAffinity(size_t worker, size_t workers);
  ~CoreAffinity();
  CoreAffinity(const CoreAffinity&) = delete;
  CoreAffinity& operator=(const CoreAffinity&) = delete;

 private:
  cpu_set_t before_;
  bool changed_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CORE_AFFINITY_H_
