// Answers of engine libraries that tests load.
#ifndef CROSSCHECK_TESTS_ENGINES_WRITE_ARENA_H_
#define CROSSCHECK_TESTS_ENGINES_WRITE_ARENA_H_

#include <cstring>
#include <string_view>

#include "engines/engine_abi.h"

namespace crosscheck {

// 0, or 1 when the caller gives no room.
inline int32_t WriteArena(xck_arena* arena, std::string_view bytes) {
  if (bytes.size() > arena->capacity && arena->grow(arena, bytes.size()) != 0) return 1;
  std::memcpy(arena->data, bytes.data(), bytes.size());
  arena->size = bytes.size();
  return 0;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_ENGINES_WRITE_ARENA_H_
