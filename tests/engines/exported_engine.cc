#include "tests/engines/exported_engine.h"

#include "tests/engines/write_arena.h"

using crosscheck::Engine;

extern "C" {

#define XCK_EXPORT __attribute__((visibility("default")))

XCK_EXPORT uint32_t xck_abi_version(void) { return XCK_ABI_VERSION; }

XCK_EXPORT int32_t xck_open(const uint8_t*, uint64_t, xck_engine** engine, xck_arena* error) {
  auto opened = crosscheck::OpenExportedEngine();
  if (!opened.ok()) {
    const absl::string_view message = opened.status().message();
    crosscheck::WriteArena(error, {message.data(), message.size()});
    return 1;
  }
  *engine = reinterpret_cast<xck_engine*>(opened->release());
  return 0;
}

XCK_EXPORT int32_t xck_call(xck_engine* engine, const uint8_t* request, uint64_t size,
                            xck_arena* reply) {
  return crosscheck::WriteArena(reply, reinterpret_cast<Engine*>(engine)->CallFrame(
                                           {reinterpret_cast<const char*>(request), size}));
}

XCK_EXPORT void xck_close(xck_engine* engine) { delete reinterpret_cast<Engine*>(engine); }

}  // extern "C"
