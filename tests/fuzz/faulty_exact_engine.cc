// A library with the C ABI that is the exact model with a planted fault: an engine with findings
// that starts in milliseconds, for tests that start hundreds of processes. `faulty:` takes
// libtorch.
#include <cstring>
#include <memory>
#include <string>

#include "engines/engine_abi.h"
#include "engines/faulty_engine.h"
#include "engines/reference_engine.h"

namespace {

constexpr char kFault[] = "extra_token";  // caught by generation_contract

int32_t Write(xck_arena* reply, const std::string& bytes) {
  if (bytes.size() > reply->capacity && reply->grow(reply, bytes.size()) != 0) return 1;
  std::memcpy(reply->data, bytes.data(), bytes.size());
  reply->size = bytes.size();
  return 0;
}

}  // namespace

extern "C" {

#define XCK_EXPORT __attribute__((visibility("default")))

XCK_EXPORT uint32_t xck_abi_version(void) { return XCK_ABI_VERSION; }

XCK_EXPORT int32_t xck_open(const uint8_t*, uint64_t, xck_engine** engine, xck_arena* error) {
  auto exact = crosscheck::OpenReferenceEngine("exact", "");
  if (!exact.ok()) {
    Write(error, std::string(exact.status().message()));
    return 1;
  }
  auto faulty = crosscheck::MakeFaultyEngine(kFault, *std::move(exact));
  if (!faulty.ok()) {
    Write(error, std::string(faulty.status().message()));
    return 1;
  }
  *engine = reinterpret_cast<xck_engine*>(faulty->release());
  return 0;
}

XCK_EXPORT int32_t xck_call(xck_engine* engine, const uint8_t* request, uint64_t size,
                            xck_arena* reply) {
  auto* faulty = reinterpret_cast<crosscheck::Engine*>(engine);
  return Write(reply, faulty->CallFrame({reinterpret_cast<const char*>(request), size}));
}

XCK_EXPORT void xck_close(xck_engine* engine) {
  delete reinterpret_cast<crosscheck::Engine*>(engine);
}

}  // extern "C"
