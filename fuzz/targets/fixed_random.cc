// Rust's hash maps take their seeds from the kernel; with these bytes instead, the same input takes
// the same branches inside the engine.
#include <sys/types.h>

#include <cstddef>
#include <cstring>

extern "C" __attribute__((visibility("default"))) ssize_t getrandom(void* buffer, size_t size,
                                                                    unsigned) {
  std::memset(buffer, 0x5A, size);
  return static_cast<ssize_t>(size);
}
