/* The C ABI of an engine in a shared library: five functions, one message format
 * (docs/engine_protocol.md).
 *
 * No panic and no exception may cross. One engine is used by one thread at a time; several may
 * exist. */
#ifndef CROSSCHECK_ENGINES_ENGINE_ABI_H_
#define CROSSCHECK_ENGINES_ENGINE_ABI_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XCK_ABI_VERSION 1u

/* Memory of the caller for one reply. `data` has `capacity` usable bytes; the caller keeps guard
 * bytes on both sides and checks them after each call. `grow` makes the capacity at least `size`
 * and keeps the contents; 0 on success. */
typedef struct xck_arena {
  uint8_t* data;
  uint64_t size; /* written by the engine: bytes of the reply frame */
  uint64_t capacity;
  void* context;
  int32_t (*grow)(struct xck_arena* arena, uint64_t size);
} xck_arena;

typedef struct xck_engine xck_engine;

uint32_t xck_abi_version(void);

/* `options`: UTF-8 JSON, not terminated. On failure returns non-zero and writes a message frame's
 * worth of UTF-8 text to `error`; *engine is then left alone. */
int32_t xck_open(const uint8_t* options, uint64_t options_size, xck_engine** engine,
                 xck_arena* error);

/* One request frame in, one answer frame out. Non-zero only when no answer frame could be written
 * (arena exhausted). */
int32_t xck_call(xck_engine* engine, const uint8_t* request, uint64_t request_size,
                 xck_arena* reply);

void xck_close(xck_engine* engine);

/* Optional: 1 when coverage counters are compiled in. */
int32_t xck_coverage_ready(void);

#ifdef __cplusplus
}
#endif

#endif /* CROSSCHECK_ENGINES_ENGINE_ABI_H_ */
