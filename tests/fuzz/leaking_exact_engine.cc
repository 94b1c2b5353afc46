// A library with the C ABI that is the exact model and keeps some memory with every call: an engine
// without findings that grows.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine_abi.h"
#include "engines/reference_engine.h"

namespace {

constexpr size_t kKeptBytes = 64 << 10;

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
  *engine = reinterpret_cast<xck_engine*>(exact->release());
  return 0;
}

XCK_EXPORT int32_t xck_call(xck_engine* engine, const uint8_t* request, uint64_t size,
                            xck_arena* reply) {
  static auto& kept = *new std::vector<std::string>();
  kept.emplace_back(kKeptBytes, 'x');
  auto* exact = reinterpret_cast<crosscheck::Engine*>(engine);
  return Write(reply, exact->CallFrame({reinterpret_cast<const char*>(request), size}));
}

XCK_EXPORT void xck_close(xck_engine* engine) {
  delete reinterpret_cast<crosscheck::Engine*>(engine);
}

}  // extern "C"
