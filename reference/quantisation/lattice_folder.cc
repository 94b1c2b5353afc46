#include "reference/quantisation/lattice_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "reference/json_input.h"
#include "reference/quantisation/blocks.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr std::string_view kQ4Magic = "KHQ4";
constexpr std::string_view kHalfMagic = "KHF1";
constexpr uint32_t kQ4Version = 2;
constexpr uint32_t kHalfVersion = 1;
constexpr uint32_t kMaxDimensions = 8;
constexpr size_t kMaxIndexBytes = 16 << 20;  // lattice's own limit

template <class T>
void Append(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string FileHeader(std::string_view magic, uint32_t version, absl::Span<const int64_t> shape,
                       size_t count) {
  std::string bytes(magic);
  Append(version, bytes);
  Append(static_cast<uint32_t>(shape.size()), bytes);
  for (const int64_t extent : shape) Append(static_cast<uint64_t>(extent), bytes);
  Append(static_cast<uint64_t>(count), bytes);
  return bytes;
}

// Takes a number off the front; false at the end.
template <class T>
bool Take(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof(value)) return false;
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes.remove_prefix(sizeof(value));
  return true;
}

// Takes the header off the front.
absl::Status TakeHeader(std::string_view& bytes, uint32_t expected_version,
                        std::vector<int64_t>& shape, uint64_t& count) {
  uint32_t version = 0;
  uint32_t dimensions = 0;
  const uint64_t limit = 2 * bytes.size();  // 32 weights take 20 bytes
  if (!Take(bytes, version) || !Take(bytes, dimensions)) {
    return absl::DataLossError("the file ends in its header");
  }
  if (version != expected_version) {
    return absl::UnimplementedError(
        absl::StrCat("version ", version, "; readable is ", expected_version));
  }
  if (dimensions > kMaxDimensions) {
    return absl::DataLossError(absl::StrCat(dimensions, " dimensions; at most ", kMaxDimensions));
  }
  uint64_t product = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    uint64_t extent = 0;
    if (!Take(bytes, extent)) return absl::DataLossError("the file ends in its header");
    if (extent == 0 || extent > limit / product) {
      return absl::DataLossError(
          absl::StrCat("extent ", extent, " does not fit a file of ", limit / 2, " bytes"));
    }
    product *= extent;
    shape.push_back(static_cast<int64_t>(extent));
  }
  if (!Take(bytes, count)) return absl::DataLossError("the file ends in its header");
  if (count == product) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the header says ", count, " weights, its shape ", product));
}

absl::Status CheckSize(std::string_view payload, uint64_t expected) {
  if (payload.size() == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(payload.size(), " bytes of weights; expected ", expected,
                                          payload.size() < expected ? " (truncated?)" : ""));
}

// Whether the bias is that of symmetric codes. The encoder rounds -8 s and s to halves by
// themselves, which differs where s is a subnormal half: by half a spacing of s, times eight, and
// of the bias.
bool IsSymmetric(float scale, float bias) {
  if (std::abs(scale) >= 0x1p-14F) return bias == -8 * scale;
  return std::abs(bias + 8 * scale) <= 6 * 0x1p-24F;
}

absl::Status CheckBlocks(std::string_view payload, LatticeTensor& result) {
  for (size_t at = 0; at < payload.size(); at += kLatticeQ4BlockBytes, ++result.blocks) {
    const float scale = HalfAt(payload, at);
    const float bias = HalfAt(payload, at + 2);
    if (scale == 0 || !std::isfinite(scale) || !std::isfinite(bias)) {
      return absl::DataLossError(absl::StrCat("block ", result.blocks, " has scale ", scale,
                                              " and bias ", bias,
                                              "; expected finite ones and a scale other than 0"));
    }
    result.asymmetric_blocks += IsSymmetric(scale, bias) ? 0 : 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<LatticeTensor> DecodeQ4File(std::string_view bytes) {
  LatticeTensor result;
  result.quantised = true;
  std::vector<int64_t> shape;
  uint64_t count = 0;
  absl::Status status = TakeHeader(bytes, kQ4Version, shape, count);
  if (!status.ok()) return status;
  const uint64_t blocks = (count + kLatticeQ4BlockValues - 1) / kLatticeQ4BlockValues;
  status = CheckSize(bytes, blocks * kLatticeQ4BlockBytes);
  if (status.ok()) status = CheckBlocks(bytes, result);
  if (!status.ok()) return status;
  result.tensor =
      MakeTensor("", std::move(shape),
                 absl::MakeConstSpan(DecodeLatticeQ4(bytes, static_cast<size_t>(count))));
  return result;
}

absl::StatusOr<LatticeTensor> DecodeKhf1File(std::string_view bytes) {
  LatticeTensor result;
  uint64_t count = 0;
  absl::Status status = TakeHeader(bytes, kHalfVersion, result.tensor.shape, count);
  if (status.ok()) status = CheckSize(bytes, 2 * count);
  if (!status.ok()) return status;
  result.tensor.dtype = DType::kF16;
  result.tensor.bytes = std::string(bytes);
  return result;
}

absl::StatusOr<LatticeIndexEntry> ParseEntry(const json& value) {
  const auto text = [&](const char* key) -> const std::string* {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? &found->get_ref<const std::string&>()
                                                      : nullptr;
  };
  if (!value.is_object() || text("name") == nullptr || text("file") == nullptr) {
    return absl::DataLossError(
        absl::StrCat("an entry is no object with \"name\" and \"file\": ",
                     value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 80)));
  }
  LatticeIndexEntry entry{*text("name"), *text("file"), {}};
  const bool plain = !entry.file.empty() && entry.file[0] != '.' &&
                     entry.file.find('/') == std::string::npos &&
                     entry.file.find('\0') == std::string::npos;
  if (!plain) {
    return absl::DataLossError(absl::StrCat("tensor ", entry.name, " is in file \"", entry.file,
                                            "\"; expected a plain file name"));
  }
  const auto shape = value.find("shape");
  if (shape == value.end() || !shape->is_array()) {
    return absl::DataLossError(absl::StrCat("tensor ", entry.name, " has no list \"shape\""));
  }
  for (const json& extent : *shape) {
    const bool fits = extent.is_number_unsigned() && extent.get<uint64_t>() <= uint64_t{1} << 62;
    if (!fits) {
      return absl::DataLossError(
          absl::StrCat("the shape of tensor ", entry.name, " holds ", extent.dump().substr(0, 40)));
    }
    entry.shape.push_back(extent.get<int64_t>());
  }
  return entry;
}

absl::Status ParseSeed(const json& object, LatticeIndex& index) {
  const auto version = object.find("artifact_version");
  if (version != object.end() && version->is_string() && *version != "v0-residual") {
    return absl::UnimplementedError(
        absl::StrCat("artifact_version ", version->dump().substr(0, 40),
                     ": rotations at run time, which decoded weights cannot stand for"));
  }
  const auto seed = object.find("quarot_seed");
  if (seed == object.end() || seed->is_null()) return absl::OkStatus();
  if (!seed->is_number_unsigned()) {
    return absl::DataLossError(absl::StrCat("quarot_seed is ", seed->dump().substr(0, 40)));
  }
  index.quarot_seed = seed->get<uint64_t>();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeQ4File(absl::Span<const float> values,
                                         absl::Span<const int64_t> shape, Q4Mode mode) {
  const absl::StatusOr<std::string> blocks = EncodeLatticeQ4(values, mode);
  if (!blocks.ok()) return blocks.status();
  return FileHeader(kQ4Magic, kQ4Version, shape, values.size()) + *blocks;
}

absl::StatusOr<std::string> EncodeKhf1File(absl::Span<const float> values,
                                           absl::Span<const int64_t> shape) {
  std::string bytes = FileHeader(kHalfMagic, kHalfVersion, shape, values.size());
  absl::Status status = CheckFinite(values);
  for (size_t i = 0; status.ok() && i < values.size(); ++i) {
    status = AppendHalf(values[i], "value", bytes);
  }
  if (!status.ok()) return status;
  return bytes;
}

absl::StatusOr<LatticeTensor> DecodeLatticeFile(std::string_view bytes) {
  const std::string_view magic = bytes.substr(0, 4);
  if (magic == kQ4Magic) return DecodeQ4File(bytes.substr(4));
  if (magic == kHalfMagic) return DecodeKhf1File(bytes.substr(4));
  return absl::DataLossError("the file begins with neither KHQ4 nor KHF1");
}

absl::StatusOr<LatticeIndex> ParseLatticeIndex(std::string_view text) {
  if (text.size() > kMaxIndexBytes) {
    return absl::DataLossError(
        absl::StrCat(text.size(), " bytes; an index has at most ", kMaxIndexBytes));
  }
  const absl::StatusOr<json> parsed = ParseJson(text);
  if (!parsed.ok()) return absl::DataLossError(parsed.status().message());
  LatticeIndex index;
  index.is_object = parsed->is_object();
  const json* tensors = &*parsed;
  if (index.is_object) {
    if (absl::Status status = ParseSeed(*parsed, index); !status.ok()) return status;
    const auto found = parsed->find("tensors");
    tensors = found == parsed->end() ? nullptr : &*found;
  }
  if (tensors == nullptr || !tensors->is_array()) {
    return absl::DataLossError("expected a list of tensors, or an object with \"tensors\"");
  }
  std::set<std::string> names;
  for (const json& value : *tensors) {
    absl::StatusOr<LatticeIndexEntry> entry = ParseEntry(value);
    if (!entry.ok()) return entry.status();
    if (!names.insert(entry->name).second) {
      return absl::DataLossError(absl::StrCat("tensor ", entry->name, " occurs twice"));
    }
    index.entries.push_back(*std::move(entry));
  }
  return index;
}

std::string LatticeFileStem(std::string_view tensor_name) {
  std::string stem(tensor_name);
  for (char& c : stem) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-') c = '_';
  }
  return stem;
}

}  // namespace crosscheck
