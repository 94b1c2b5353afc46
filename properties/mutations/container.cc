#include "properties/mutations/container.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr char kMetadataName[] = "__metadata__";

HeaderEntry Metadata(std::string_view way) {
  OrderedJson value = {{"format", "pt"}};
  if (way == "null") value = nullptr;
  if (way == "number_in_it") value["n"] = 1;
  if (way == "object_in_it") value["o"] = OrderedJson::object();
  if (way == "list") value = OrderedJson::array({"format", "pt"});
  if (way == "text") value = "pt";
  if (way == "empty") value = OrderedJson::object();
  return {kMetadataName, std::move(value), ""};
}

void MutateMetadata(std::string_view way, Container& container) {
  container.entries.insert(container.entries.begin(), Metadata(way));
  if (way == "twice") container.entries.push_back(Metadata("strings"));
}

void AddTwice(std::string_view way, size_t target, Container& container) {
  HeaderEntry again = container.entries[target];
  if (way == "twice_differing" && again.value.is_object()) {
    // Another reading of the same bytes, so that the last as well as the first is in order.
    OrderedJson& shape = again.value["shape"];
    if (shape.is_array()) shape.insert(shape.begin(), 1);
  }
  container.entries.push_back(std::move(again));
}

void MutateShapeText(std::string_view way, OrderedJson& entry) {
  OrderedJson& shape = entry["shape"];
  if (way == "shape_missing") entry.erase("shape");
  if (way == "shape_text") shape = "[2, 3]";
  if (!shape.is_array()) return;
  if (way == "shape_negative") shape.push_back(-1);
  if (way == "shape_float") shape.push_back(1.0);
  if (way == "shape_huge") shape.push_back(int64_t{1} << 62);
  if (way == "shape_overflow") shape = {0, 4294967296, 4294967296, 4294967296};
}

void MutateEntry(std::string_view way, HeaderEntry& entry) {
  OrderedJson& value = entry.value;
  if (way == "null") value = nullptr;
  if (way == "empty_name") entry.name.clear();
  if (!value.is_object()) return;
  if (way == "dtype_missing") value.erase("dtype");
  if (way == "offsets_missing") value.erase("data_offsets");
  if (way == "dtype_number") value["dtype"] = 1;
  if (way == "dtype_lower_case") value["dtype"] = "f32";
  if (way == "dtype_unknown") value["dtype"] = "F128";
  if (way == "unknown_key") value["crosscheck_unknown"] = {{"a", nullptr}};
  if (way == "deep_key_40") value["deep"] = OrderedJson::parse(Nested(40));
  if (way == "deep_key_200") value["deep"] = OrderedJson::parse(Nested(200));
  if (way == "as_list") {
    value = OrderedJson::array({value["dtype"], value["shape"], value["data_offsets"]});
  }
  if (way == "dtype_twice") {
    const std::string text = value.dump();
    entry.text = absl::StrCat("{\"dtype\":", value["dtype"].dump(), ",", text.substr(1));
  }
  if (way.substr(0, 5) == "shape") MutateShapeText(way, value);
}

void MutateOffsets(std::string_view way, const OrderedJson& first, OrderedJson& entry) {
  if (!entry.is_object() || !entry.contains("data_offsets")) return;
  OrderedJson& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[1].is_number_unsigned()) return;
  const auto begin = offsets[0].get<int64_t>();
  const auto end = offsets[1].get<int64_t>();
  if (way == "shifted") offsets = {begin + 1, end + 1};
  if (way == "gap") offsets = {begin + 4, end};
  if (way == "overlap") offsets = {std::max<int64_t>(begin - 4, 0), end};
  if (way == "reversed") offsets = {end, begin};
  if (way == "beyond") offsets = {begin, end + (int64_t{1} << 20)};
  if (way == "huge") offsets = {begin, 18446744073709551615u};
  if (way == "negative") offsets = {-4, end};
  if (way == "three") offsets.push_back(end);
  if (way == "one") offsets = OrderedJson::array({begin});
  if (way == "text") offsets = {std::to_string(begin), std::to_string(end)};
  if (way == "float") offsets = {static_cast<double>(begin), static_cast<double>(end)};
  if (way == "one_byte_less") offsets = {begin, end - 1};
  if (way == "same_as_first" && first.is_object() && first.contains("data_offsets")) {
    offsets = OrderedJson(first["data_offsets"]);
  }
}

std::string HeaderText(const Container& container) {
  std::string text;
  for (const HeaderEntry& entry : container.entries) {
    absl::StrAppend(&text, text.empty() ? "{" : ",", OrderedJson(entry.name).dump(), ":",
                    entry.text.empty() ? entry.value.dump() : entry.text);
  }
  text.append(text.empty() ? "{}" : "}");
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

uint64_t ClaimedLength(std::string_view way, uint64_t length, size_t file_size) {
  if (way == "plus_1") return length + 1;
  if (way == "minus_1") return length - 1;
  if (way == "zero") return 0;
  if (way == "file_size") return file_size;
  if (way == "2^31") return uint64_t{1} << 31;
  if (way == "100000001") return 100'000'001;
  if (way == "2^63") return uint64_t{1} << 63;
  return ~uint64_t{0};
}

void MutateBytes(std::string_view way, std::string& file) {
  if (way == "without_last_byte") file.pop_back();
  if (way == "half") file.resize(file.size() / 2);
  if (way == "seven_bytes") file.resize(7);
  if (way == "empty") file.clear();
  if (way == "byte_after") file.push_back('\0');
  if (way == "page_after") file.append(4096, '\0');
}

}  // namespace

Container ContainerOf(absl::Span<const Tensor> tensors) {
  Container container;
  for (const Tensor& tensor : tensors) {
    const size_t begin = container.data.size();
    container.data += tensor.bytes;
    container.entries.push_back({tensor.name,
                                 {{"dtype", kDTypeNames[static_cast<size_t>(tensor.dtype)]},
                                  {"shape", tensor.shape},
                                  {"data_offsets", {begin, container.data.size()}}},
                                 ""});
  }
  return container;
}

void MutateHeader(const Mutation& mutation, Container& container) {
  const std::string_view way = mutation.Way();
  if (mutation.kind == MutationKind::kMetadata) return MutateMetadata(way, container);
  if (mutation.kind == MutationKind::kOrder) {
    if (way == "header_reversed") std::reverse(container.entries.begin(), container.entries.end());
    return;
  }
  if (container.entries.empty()) return;
  if (mutation.kind == MutationKind::kExtraTensor) {
    OrderedJson& last = container.entries.back().value;
    const bool extra = last.is_object() && last.contains("dtype") && last["dtype"] == "U8";
    if (extra && (way == "BOOL" || way == "F8_E4M3")) last["dtype"] = way;
    return;
  }
  const size_t target = static_cast<size_t>(mutation.target) % container.entries.size();
  if (mutation.kind == MutationKind::kOffsets) {
    MutateOffsets(way, container.entries.front().value, container.entries[target].value);
  } else if (mutation.kind == MutationKind::kHeaderEntry) {
    if (way == "twice" || way == "twice_differing") return AddTwice(way, target, container);
    MutateEntry(way, container.entries[target]);
  }
}

std::string EncodeContainer(const Container& container, absl::Span<const Mutation> mutations) {
  std::string header = HeaderText(container);
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kHeaderText) MutateText(mutation.Way(), header);
  }
  uint64_t length = header.size();
  for (const Mutation& mutation : mutations) {
    if (mutation.kind != MutationKind::kHeaderLength) continue;
    length = ClaimedLength(mutation.Way(), length, 8 + header.size() + container.data.size());
  }
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  file += header;
  file += container.data;
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kFileBytes && file.size() > 8) {
      MutateBytes(mutation.Way(), file);
    }
  }
  return file;
}

}  // namespace crosscheck
