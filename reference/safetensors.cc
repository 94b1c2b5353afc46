#include "reference/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/json_input.h"
#include "reference/usual_json.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;

// The crate's limits.
constexpr size_t kMaxHeaderBytes = 100'000'000;
constexpr int kMaxDepth = 127;

absl::Status Malformed(std::string_view tensor, std::string_view what) {
  return absl::DataLossError(
      absl::StrCat("tensor ", json(tensor).dump(-1, ' ', true, json::error_handler_t::replace),
                   ": ", std::string(what)));
}

void AppendHeaderEntry(std::string* header, const TensorView& tensor, uint64_t begin) {
  // Names are ours or came through a JSON parser; only quotes, backslashes and controls need care.
  const bool plain = std::all_of(tensor.name.begin(), tensor.name.end(), [](char c) {
    return c >= ' ' && c != '"' && c != '\\' && c != 127;
  });
  header->push_back(header->empty() ? '{' : ',');
  if (plain) {
    absl::StrAppend(header, "\"", std::string(tensor.name), "\"");
  } else {
    header->append(json(tensor.name).dump(-1, ' ', true, json::error_handler_t::replace));
  }
  header->append(":{\"dtype\":\"").append(kDTypeNames[static_cast<size_t>(tensor.dtype)]);
  header->append("\",\"shape\":[");
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    absl::StrAppend(header, i == 0 ? "" : ",", tensor.shape[i]);
  }
  absl::StrAppend(header, "],\"data_offsets\":[", begin, ",", begin + tensor.bytes.size(), "]}");
}

// One header entry, checked by itself; gaps and overlaps are checked over all of them.
struct Entry {
  Tensor tensor;  // without bytes
  uint64_t begin = 0;
  uint64_t end = 0;
};

absl::StatusOr<DType> ParseDType(const std::string& name, const json& entry) {
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) {
    return Malformed(name, "has no string \"dtype\"");
  }
  const auto& text = dtype->get_ref<const std::string&>();
  const auto* found = std::find(std::begin(kDTypeNames), std::end(kDTypeNames), text);
  if (found == std::end(kDTypeNames)) {
    return absl::UnimplementedError(
        Malformed(name,
                  absl::StrCat(
                      "dtype ", dtype->dump(),
                      " is not supported; expected F64, F32, F16, BF16, I64, I32, U8 or F8_E4M3"))
            .message());
  }
  return static_cast<DType>(found - std::begin(kDTypeNames));
}

// The element count times `element_size`. False when a product of leading extents does not fit 64
// bits, or all of them with the size in bits do not: the crate's rule, under which a 0 that comes
// late does not help.
bool ByteCount(const std::vector<int64_t>& shape, int64_t element_size, uint64_t* bytes) {
  constexpr unsigned __int128 kMax = std::numeric_limits<uint64_t>::max();
  unsigned __int128 count = 1;
  for (const int64_t extent : shape) {
    count *= static_cast<uint64_t>(extent);
    if (count > kMax) return false;
  }
  count *= static_cast<uint64_t>(8 * element_size);
  *bytes = static_cast<uint64_t>(count / 8);
  return count <= kMax;
}

absl::Status ParseShape(const json& entry, Tensor* tensor) {
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array()) {
    return Malformed(tensor->name, "has no array \"shape\"");
  }
  for (const json& extent : *shape) {
    if (!extent.is_number_unsigned() ||
        extent.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Malformed(tensor->name, absl::StrCat("shape holds ", extent.dump().substr(0, 40),
                                                  "; expected integers of at least 0"));
    }
    tensor->shape.push_back(extent.get<int64_t>());
  }
  return absl::OkStatus();
}

absl::StatusOr<Entry> ParseEntry(const std::string& name, const json& value, uint64_t data_size) {
  if (!value.is_object()) return Malformed(name, "its header entry is not an object");
  Entry entry;
  entry.tensor.name = name;
  absl::StatusOr<DType> dtype = ParseDType(name, value);
  if (!dtype.ok()) return dtype.status();
  entry.tensor.dtype = *dtype;
  if (absl::Status status = ParseShape(value, &entry.tensor); !status.ok()) return status;

  const auto offsets = value.find("data_offsets");
  if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    return Malformed(name, "has no \"data_offsets\" of two integers of at least 0");
  }
  entry.begin = (*offsets)[0].get<uint64_t>();
  entry.end = (*offsets)[1].get<uint64_t>();
  if (entry.begin > entry.end || entry.end > data_size) {
    return Malformed(name, absl::StrCat("data_offsets ", entry.begin, "..", entry.end,
                                        " are outside the ", data_size, " bytes of data"));
  }
  uint64_t expected = 0;
  if (!ByteCount(entry.tensor.shape, SizeOf(*dtype), &expected) ||
      expected != entry.end - entry.begin) {
    return Malformed(name, absl::StrCat("its shape does not fit its ", entry.end - entry.begin,
                                        " bytes of data"));
  }
  return entry;
}

absl::Status CheckContiguous(const std::vector<Entry>& sorted, uint64_t data_size) {
  uint64_t at = 0;
  for (const Entry& entry : sorted) {
    if (entry.begin != at) {
      return Malformed(entry.tensor.name,
                       absl::StrCat(entry.begin < at ? "overlaps its predecessor" : "leaves a gap",
                                    " (starts at ", entry.begin, ", expected ", at, ")"));
    }
    at = entry.end;
  }
  if (at == data_size) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("tensors cover ", at, " of ", data_size, " bytes of data"));
}

// Splits the file into header text and data after checking the declared header length.
absl::Status SplitHeader(std::string_view bytes, std::string_view* header, std::string_view* data) {
  if (bytes.size() < kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat("safetensors: ", bytes.size(), " bytes are too few for a header"));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > bytes.size() - kLengthBytes) {
    return absl::DataLossError(absl::StrCat("safetensors: header length ", length,
                                            " is beyond the end (file of ", bytes.size(),
                                            " bytes: truncated?)"));
  }
  if (length > kMaxHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat("safetensors: header length ", length, " is above ", kMaxHeaderBytes));
  }
  *header = bytes.substr(kLengthBytes, length);
  *data = bytes.substr(kLengthBytes + length);
  return absl::OkStatus();
}

}  // namespace

std::string EncodeSafetensors(absl::Span<const TensorView> tensors) {
  std::string header;
  header.reserve(2 + tensors.size() * 128);
  uint64_t size = 0;
  for (const TensorView& tensor : tensors) {
    AppendHeaderEntry(&header, tensor, size);
    size += tensor.bytes.size();
  }
  header.append(header.empty() ? "{}" : "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');

  std::string encoded;
  encoded.reserve(kLengthBytes + header.size() + size);
  const uint64_t length = header.size();
  encoded.append(reinterpret_cast<const char*>(&length), kLengthBytes);
  encoded.append(header);
  for (const TensorView& tensor : tensors) encoded.append(tensor.bytes);
  return encoded;
}

std::string EncodeSafetensors(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  }
  return EncodeSafetensors(views);
}

namespace {

absl::StatusOr<json> ParseHeader(std::string_view header) {
  std::optional<json> usual = ParseUsualJson(header);
  absl::StatusOr<json> parsed = usual ? *std::move(usual) : ParseJson(header);
  if (!parsed.ok()) {
    return absl::DataLossError(
        absl::StrCat("safetensors header: ", std::string(parsed.status().message())));
  }
  if (!parsed->is_object()) {
    return absl::DataLossError("safetensors header: expected a JSON object");
  }
  if (const int depth = JsonDepth(header); depth > kMaxDepth) {
    return absl::DataLossError(absl::StrCat("safetensors header: JSON nested ", depth,
                                            " deep; at most ", kMaxDepth, " is read"));
  }
  if (HasRepeatedKey(header, *parsed)) {
    return absl::AlreadyExistsError("safetensors header: an object names a key twice");
  }
  return parsed;
}

absl::Status CheckMetadata(const json& metadata) {
  const bool strings =
      metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                          [](const json& value) { return value.is_string(); });
  if (strings || metadata.is_null()) return absl::OkStatus();
  return absl::DataLossError("safetensors header: __metadata__ is not an object of strings");
}

// Every entry but the metadata. A dtype that cannot be held is told only when nothing worse is
// wrong.
absl::StatusOr<std::vector<Entry>> ParseEntries(const json& header, uint64_t data_size) {
  std::vector<Entry> entries;
  entries.reserve(header.size());
  absl::Status unsupported;
  for (const auto& [name, value] : header.items()) {
    absl::Status status;
    if (name == "__metadata__") {
      status = CheckMetadata(value);
    } else {
      absl::StatusOr<Entry> entry = ParseEntry(name, value, data_size);
      status = entry.status();
      if (entry.ok()) entries.push_back(*std::move(entry));
    }
    if (absl::IsUnimplemented(status)) {
      unsupported = status;
    } else if (!status.ok()) {
      return status;
    }
  }
  if (!unsupported.ok()) return unsupported;
  return entries;
}

}  // namespace

// Takes what the crate `safetensors` takes (tests/properties/safetensors_oracle_test.cc lists the
// differences). kDataLoss: no valid file. kAlreadyExists: a name occurs twice, so that readers
// disagree. kUnimplemented: a dtype that Tensor cannot hold.
absl::StatusOr<std::vector<Tensor>> DecodeSafetensors(std::string_view bytes) {
  std::string_view header;
  std::string_view data;
  if (absl::Status status = SplitHeader(bytes, &header, &data); !status.ok()) return status;
  const absl::StatusOr<json> parsed = ParseHeader(header);
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<std::vector<Entry>> read = ParseEntries(*parsed, data.size());
  if (!read.ok()) return read.status();
  std::vector<Entry>& entries = *read;
  // The order of a file is the order of its data. An empty tensor comes before the one at its
  // place.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  if (absl::Status status = CheckContiguous(entries, data.size()); !status.ok()) return status;

  std::vector<Tensor> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    entry.tensor.bytes.assign(data.substr(entry.begin, entry.end - entry.begin));
    tensors.push_back(std::move(entry.tensor));
  }
  return tensors;
}

}  // namespace crosscheck
