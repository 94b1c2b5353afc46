#include "engines/message.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/head_json.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr int kMaxNesting =
    64;  // the parser recurses through nothing, but a deep value costs memory and time

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Frame(std::string_view head, const std::vector<Tensor>& tensors) {
  const std::string payload = tensors.empty() ? std::string() : EncodeSafetensors(tensors);
  const auto head_size = static_cast<uint32_t>(head.size());
  const uint64_t payload_size = payload.size();
  std::string frame;
  frame.reserve(kFrameHeaderBytes + head.size() + payload.size());
  frame.append(kFrameMagic, 4);
  frame.append(reinterpret_cast<const char*>(&head_size), sizeof(head_size));
  frame.append(reinterpret_cast<const char*>(&payload_size), sizeof(payload_size));
  frame.append(head);
  frame.append(payload);
  return frame;
}

bool NestsTooDeep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxNesting) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

const Tensor* Message::Find(std::string_view name) const {
  for (const Tensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::string EncodeFrame(const Message& message) {
  return Frame(Dump(message.head), message.tensors);
}

std::string EncodeFrame(const Message& message, int64_t id) {
  if (message.head.contains("id")) {
    Json head = message.head;
    head["id"] = id;
    return Frame(Dump(head), message.tensors);
  }
  const std::string rest = Dump(message.head);
  std::string head = absl::StrCat("{\"id\":", id);
  if (message.head.empty()) {
    head += '}';
  } else {
    head += ',';
    head.append(rest, 1, std::string::npos);
  }
  return Frame(head, message.tensors);
}

absl::StatusOr<FrameSizes> DecodeFrameHeader(std::string_view first_16_bytes) {
  if (first_16_bytes.size() < kFrameHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame header has ", first_16_bytes.size(), " bytes, expected 16"));
  }
  if (first_16_bytes.substr(0, 4) != std::string_view(kFrameMagic, 4)) {
    return absl::InvalidArgumentError("a frame starts with XCK1");
  }
  FrameSizes sizes{};
  std::memcpy(&sizes.head, first_16_bytes.data() + 4, sizeof(sizes.head));
  std::memcpy(&sizes.payload, first_16_bytes.data() + 8, sizeof(sizes.payload));
  if (sizes.head > kMaxHeadBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame head of ", sizes.head, " bytes, at most ", kMaxHeadBytes));
  }
  if (sizes.payload > kMaxPayloadBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame payload of ", sizes.payload, " bytes, at most ", kMaxPayloadBytes));
  }
  return sizes;
}

absl::StatusOr<Message> DecodeFrame(std::string_view frame) {
  const absl::StatusOr<FrameSizes> sizes = DecodeFrameHeader(frame);
  if (!sizes.ok()) return sizes.status();
  if (frame.size() - kFrameHeaderBytes != sizes->head + sizes->payload) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame of ", frame.size(), " bytes, expected ",
                     kFrameHeaderBytes + sizes->head + sizes->payload));
  }
  const std::string_view head = frame.substr(kFrameHeaderBytes, sizes->head);
  if (NestsTooDeep(head)) {
    return absl::InvalidArgumentError("frame head nests deeper than 64 levels");
  }
  Message message;
  message.head = ParseHeadJson(head);
  if (!message.head.is_object()) {
    return absl::InvalidArgumentError("frame head is not a JSON object");
  }
  if (sizes->payload > 0) {
    absl::StatusOr<std::vector<Tensor>> tensors =
        DecodeSafetensors(frame.substr(kFrameHeaderBytes + sizes->head));
    if (!tensors.ok()) return absl::InvalidArgumentError(tensors.status().message());
    message.tensors = *std::move(tensors);
  }
  return message;
}

}  // namespace crosscheck
