// Programs of an instrumented build that nothing asks for its edges.
#include <cstdint>

#pragma GCC visibility push(default)  // libraries of the build find them in the program
extern "C" {
void __sanitizer_cov_8bit_counters_init(char*, char*) {}
void __sanitizer_cov_pcs_init(const uintptr_t*, const uintptr_t*) {}
}
#pragma GCC visibility pop
