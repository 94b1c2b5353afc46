#include "properties/mutations/checkpoint_files.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/mutations/container.h"
#include "properties/mutations/json_mutations.h"
#include "reference/checkpoint.h"
#include "reference/tokenizer_json.h"

namespace crosscheck {
namespace {

constexpr char kSingle[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";

std::string Dump(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Every change of one kind to a text.
void MutateTexts(MutationKind kind, absl::Span<const Mutation> mutations, std::string& text) {
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == kind) MutateText(mutation.Way(), text);
  }
}

std::string MakeConfig(const Model& model, absl::Span<const Mutation> mutations) {
  const std::string_view dtype = model.storage == DType::kBF16  ? "bfloat16"
                                 : model.storage == DType::kF16 ? "float16"
                                                                : "float32";
  OrderedJson config = OrderedJson::parse(ToHuggingFaceConfig(model.spec, dtype).dump());
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kConfigValue || mutation.kind == MutationKind::kConfigForm) {
      MutateConfig(mutation, config);
    }
  }
  std::string text = ConfigText(config);
  MutateTexts(MutationKind::kConfigText, mutations, text);
  return text;
}

std::string MakeTokenizer(const Model& model, absl::Span<const Mutation> mutations) {
  OrderedJson tokenizer = OrderedJson::parse(TokenizerJson(model.spec.vocab));
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kTokenizer) MutateTokenizer(mutation.Way(), tokenizer);
  }
  std::string text = Dump(tokenizer);
  MutateTexts(MutationKind::kTokenizerText, mutations, text);
  return text;
}

std::vector<Tensor> StoredTensors(const Model& model) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const DType dtype = StorageOf(model.tensors[i].role, model.storage);
    Tensor tensor = MakeTensor(model.tensors[i].name, model.tensors[i].shape,
                               absl::MakeConstSpan(model.values[i]));
    if (dtype != DType::kF32) {
      tensor.dtype = dtype;
      tensor.bytes.clear();
      for (const float value : model.values[i]) {
        const uint16_t bits = dtype == DType::kBF16 ? EncodeBF16(value) : EncodeF16(value);
        tensor.bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
      }
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::string MakeSafetensors(absl::Span<const Tensor> tensors,
                            absl::Span<const Mutation> mutations) {
  Container container = ContainerOf(tensors);
  for (const Mutation& mutation : mutations) MutateHeader(mutation, container);
  return EncodeContainer(container, mutations);
}

// What the weight map of an index says of the target tensor, or what the index says in all.
void MutateIndex(const Mutation& mutation, const std::string& first_shard, OrderedJson& index) {
  const std::string_view way = mutation.Way();
  if (way == "total_wrong") index["metadata"]["total_size"] = 1;
  if (way == "total_text") index["metadata"]["total_size"] = "many";
  if (way == "metadata_missing") index.erase("metadata");
  if (!index.contains("weight_map") || !index["weight_map"].is_object()) return;
  OrderedJson& map = index["weight_map"];
  if (way == "entry_extra") map["crosscheck.unknown"] = first_shard;
  if (map.empty()) return;
  const auto entry = std::next(map.begin(), mutation.target % std::ssize(map));
  if (way == "wrong_shard") *entry = *entry == first_shard ? map.back() : OrderedJson(first_shard);
  if (way == "path_up") *entry = absl::StrCat("../", first_shard);
  if (way == "path_absolute") *entry = "/dev/null";
  if (way == "path_in_folder") *entry = absl::StrCat("sub/", first_shard);
  if (way == "path_dot") *entry = absl::StrCat("./", first_shard);
  if (way == "file_number") *entry = 1;
  if (way == "entry_missing") map.erase(entry);
  if (way == "map_list") index["weight_map"] = OrderedJson::array({first_shard});
  if (way == "map_missing") index.erase("weight_map");
}

size_t ShardCount(absl::Span<const Mutation> mutations) {
  int shards = 1;
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kIndex || mutation.kind == MutationKind::kIndexText) {
      shards = std::max(shards, 2);
    }
    if (mutation.kind != MutationKind::kShards) continue;
    const std::string way(mutation.Way());
    int wanted = 1;
    if (absl::SimpleAtoi(way, &wanted)) shards = std::max(shards, wanted);
  }
  return static_cast<size_t>(shards);
}

bool Any(absl::Span<const Mutation> mutations, MutationKind kind, std::string_view way) {
  return std::any_of(mutations.begin(), mutations.end(),
                     [&](const Mutation& m) { return m.Is(kind, way); });
}

void AddShards(absl::Span<const Tensor> tensors, size_t shards,
               absl::Span<const Mutation> mutations, InputFiles& files) {
  OrderedJson map = OrderedJson::object();
  size_t total = 0;
  std::string first_shard;
  for (size_t s = 0; s < shards; ++s) {
    const std::string name = absl::StrFormat("model-%05d-of-%05d.safetensors", s + 1, shards);
    if (s == 0) first_shard = name;
    const size_t begin = s * tensors.size() / shards, end = (s + 1) * tensors.size() / shards;
    std::vector<Tensor> held(tensors.begin() + static_cast<std::ptrdiff_t>(begin),
                             tensors.begin() + static_cast<std::ptrdiff_t>(end));
    for (const Tensor& tensor : held) {
      map[tensor.name] = name;
      total += tensor.bytes.size();
    }
    if (s > 0 && Any(mutations, MutationKind::kIndex, "tensor_in_two_shards")) {
      held.push_back(tensors.front());
    }
    files.push_back(
        {.name = name,
         .bytes = MakeSafetensors(held, s == 0 ? mutations : absl::Span<const Mutation>())});
  }
  if (Any(mutations, MutationKind::kIndex, "shard_not_in_map")) {
    files.push_back({.name = "model-00009-of-00009.safetensors", .bytes = "not looked at"});
  }
  if (Any(mutations, MutationKind::kIndex, "file_missing")) files.pop_back();
  OrderedJson index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kIndex) MutateIndex(mutation, first_shard, index);
  }
  std::string text = Dump(index);
  MutateTexts(MutationKind::kIndexText, mutations, text);
  files.push_back({.name = kIndex, .bytes = std::move(text)});
}

void MutateFile(const Mutation& mutation, InputFiles& files) {
  if (files.empty()) return;
  const size_t target = static_cast<size_t>(mutation.target) % files.size();
  InputFile& file = files[target];
  const std::string_view way = mutation.Way();
  if (way == "mode_000") file.mode = 0;
  if (way == "mode_400") file.mode = 0400;
  if (way == "mode_600") file.mode = 0600;
  if (way == "mode_666") file.mode = 0666;
  if (way == "mode_755") file.mode = 0755;
  if (way == "link_to_nothing") file.link_to = "nothing";
  if (way == "link_to_itself") file.link_to = file.name;
  if (way == "missing") {
    files.erase(files.begin() + static_cast<std::ptrdiff_t>(target));
  } else if (way == "a_folder") {
    file.name += "/inner";
  } else if (way == "linked" && file.link_to.empty()) {
    InputFile blob = file;
    blob.name = absl::StrCat("blobs/", target);
    file.bytes.clear();
    file.link_to = blob.name;
    files.push_back(std::move(blob));
  }
}

}  // namespace

InputFiles MutatedCheckpoint(const Model& model, absl::Span<const Mutation> mutations) {
  std::vector<Tensor> tensors = StoredTensors(model);
  for (const Mutation& mutation : mutations) MutateTensors(mutation, tensors);
  InputFiles files;
  files.push_back({.name = "config.json", .bytes = MakeConfig(model, mutations)});
  const size_t shards = ShardCount(mutations);
  if (shards == 1 || Any(mutations, MutationKind::kIndex, "single_file_too")) {
    files.push_back({.name = kSingle, .bytes = MakeSafetensors(tensors, mutations)});
  }
  if (shards > 1) AddShards(tensors, shards, mutations, files);
  if (!Any(mutations, MutationKind::kTokenizer, "missing")) {
    files.push_back({.name = "tokenizer.json", .bytes = MakeTokenizer(model, mutations)});
  }
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == MutationKind::kFile) MutateFile(mutation, files);
  }
  return files;
}

}  // namespace crosscheck
