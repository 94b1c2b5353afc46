#include "quality/shard_index.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint_tensors.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;  // the limit of the safetensors crate

// Null where the file has none that can be read.
Json ShardHeader(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  uint64_t size = 0;
  for (int byte = 0; byte < 8; ++byte) {
    size |= static_cast<uint64_t>(static_cast<unsigned char>(file.get())) << (8 * byte);
  }
  if (!file || size > kMostHeaderBytes) return {};
  std::string text(size, ' ');
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) return {};
  const auto header = ParseJson(text);
  return header.ok() ? *header : Json();
}

// Tensor to the file that the index names; empty where there is no index to follow.
std::map<std::string, std::string> WeightMap(const std::string& folder) {
  std::map<std::string, std::string> map;
  if (std::filesystem::exists(absl::StrCat(folder, "/", kWeightsFile))) return map;
  const auto text = ReadFile(absl::StrCat(folder, "/", kIndexFile));
  if (!text.ok()) return map;
  const auto index = ParseJson(*text);
  if (!index.ok() || !index->is_object() || !index->contains("weight_map")) return map;
  for (const auto& [tensor, file] : (*index)["weight_map"].items()) {
    if (file.is_string()) map[tensor] = file.get<std::string>();
  }
  return map;
}

}  // namespace

absl::Status CheckShardIndex(const std::string& folder) {
  const std::map<std::string, std::string> map = WeightMap(folder);
  std::map<std::string, Json> headers;  // by file
  for (const auto& [tensor, file] : map) {
    if (!headers.contains(file)) headers[file] = ShardHeader(absl::StrCat(folder, "/", file));
  }
  for (const auto& [tensor, file] : map) {
    if (!headers[file].is_object() || headers[file].contains(tensor)) continue;
    std::string elsewhere = "no shard has it";
    for (const auto& [other, header] : headers) {
      if (header.is_object() && header.contains(tensor))
        elsewhere = absl::StrCat("it is in ", other);
    }
    return absl::FailedPreconditionError(absl::StrCat(folder, "/", kIndexFile, ": ", tensor,
                                                      " is said to be in ", file, "; ", elsewhere));
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
