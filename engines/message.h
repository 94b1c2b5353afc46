// The one message format between the harness and every engine (docs/engine_protocol.md): op, JSON
// head, tensors.
//
// Example:
//   Message request{.head = {{"id", 1}, {"op", "ping"}}};
//   std::string frame = EncodeFrame(request);
//   absl::StatusOr<Message> same = DecodeFrame(frame);
#ifndef CROSSCHECK_ENGINES_MESSAGE_H_
#define CROSSCHECK_ENGINES_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "reference/tensor.h"

namespace crosscheck {

using Json = nlohmann::json;

inline constexpr char kFrameMagic[5] = "XCK1";
inline constexpr uint32_t kMaxHeadBytes = 16u << 20;
inline constexpr uint64_t kMaxPayloadBytes = 64ull << 20;
inline constexpr size_t kFrameHeaderBytes =
    16;  // magic, u32 size of JSON, u64 size of payload; little endian

struct Message {
  Json head = Json::object();   // "op" and the fields of the op; answers: "id", "ok", …
  std::vector<Tensor> tensors;  // the payload: one safetensors blob, absent when empty

  const Tensor* Find(std::string_view name) const;  // nullptr when absent
};

std::string EncodeFrame(const Message& message);
// The same with "id" set to `id`, without a copy of the head.
std::string EncodeFrame(const Message& message, int64_t id);
// Whole frames only. Hostile input is safe: sizes, nesting (at most 64), JSON and safetensors are
// checked first.
absl::StatusOr<Message> DecodeFrame(std::string_view frame);
struct FrameSizes {
  uint32_t head;
  uint64_t payload;
};
absl::StatusOr<FrameSizes> DecodeFrameHeader(std::string_view first_16_bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_MESSAGE_H_
