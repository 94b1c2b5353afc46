#include "properties/mutations/json_mutations.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace crosscheck {
namespace {

// A member whose name begins so is written under the rest of its name: a second occurrence.
constexpr std::string_view kAgain = "crosscheck again ";

OrderedJson Literal(std::string_view way) {
  if (way == "text") return "crosscheck";
  if (way == "empty_text") return "";
  return OrderedJson::parse(way.begin(), way.end());
}

// Another value of the same kind.
OrderedJson Another(const OrderedJson& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>() + 1;
  if (value.is_number()) return value.get<double>() * 2;
  if (value.is_array() && !value.empty()) {
    OrderedJson longer = value;
    longer.push_back(value.back());
    return longer;
  }
  return nullptr;
}

OrderedJson Converted(std::string_view way, const OrderedJson& value) {
  if (way == "as_text") return value.is_string() ? value : OrderedJson(value.dump());
  if (way == "as_float") return value.is_number() ? OrderedJson(value.get<double>()) : value;
  if (way == "as_list") return OrderedJson::array({value});
  if (way == "plus_1") return Another(value);
  return Literal(way);
}

// The member that a key names and the object that holds it; null when it is not there.
struct Place {
  OrderedJson* parent = nullptr;
  std::string name;
};

Place Find(std::string_view key, OrderedJson& config) {
  Place place{&config, ""};
  for (size_t begin = 1; begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    place.name = key.substr(begin, end - begin);
    if (!place.parent->is_object() || !place.parent->contains(place.name)) return {};
    if (end == key.size()) return place;
    place.parent = &(*place.parent)[place.name];
    begin = end + 1;
  }
  return {};
}

void MutateMember(std::string_view way, const std::string& name, OrderedJson& parent,
                  OrderedJson& config) {
  if (way == "removed") {
    parent.erase(name);
  } else if (way == "twice") {
    parent[absl::StrCat(std::string(kAgain), name)] = Another(parent[name]);
  } else if (way == "moved_to_top") {
    OrderedJson value = parent[name];
    parent.erase(name);
    config[name] = std::move(value);
  } else {
    parent[name] = Converted(way, parent[name]);
  }
}

void MutateEverywhere(std::string_view way, const std::string& name, OrderedJson& object) {
  if (!object.is_object()) return;
  for (auto& [key, value] : object.items()) MutateEverywhere(way, name, value);
  if (object.contains(name)) MutateMember(way, name, object, object);
}

void MutateValue(const Mutation& mutation, OrderedJson& config) {
  const std::string_view key = ConfigKeys()[static_cast<size_t>(mutation.key)];
  if (key.front() == '*') {
    return MutateEverywhere(mutation.Way(), std::string(key.substr(2)), config);
  }
  const Place place = Find(key, config);
  if (place.parent != nullptr) MutateMember(mutation.Way(), place.name, *place.parent, config);
}

void Flatten(OrderedJson& config) {
  if (!config.contains("text_config") || !config["text_config"].is_object()) return;
  const OrderedJson text = config["text_config"];
  config.erase("text_config");
  for (const auto& [key, value] : text.items()) config[key] = value;
}

}  // namespace

std::string Nested(int levels) {
  return std::string(static_cast<size_t>(levels), '[') +
         std::string(static_cast<size_t>(levels), ']');
}

void MutateConfig(const Mutation& mutation, OrderedJson& config) {
  if (!config.is_object()) return;
  if (mutation.kind == MutationKind::kConfigValue) return MutateValue(mutation, config);
  const std::string_view way = mutation.Way();
  OrderedJson* text = config.contains("text_config") ? &config["text_config"] : nullptr;
  const bool has_text = text != nullptr && text->is_object();
  if (way == "flat") Flatten(config);
  if (way == "text_config_null") config["text_config"] = nullptr;
  if (way == "text_config_list") config["text_config"] = OrderedJson::array({1});
  if (way == "text_config_missing") config.erase("text_config");
  if (way == "unknown_key" && has_text) (*text)["crosscheck_unknown"] = 3;
  if (way == "unknown_key_on_top") config["crosscheck_unknown"] = {{"a", 1}};
  if (way == "unknown_deep_key") config["crosscheck_unknown"] = OrderedJson::parse(Nested(40));
  if (way == "model_type_missing") config.erase("model_type");
  if (way == "model_type_other") config["model_type"] = "gpt2";
  if (way == "text_model_type_other" && has_text) (*text)["model_type"] = "gpt2";
  if (way == "rope_scaling" && has_text) {
    (*text)["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  }
  if (way == "other_activation" && has_text) (*text)["hidden_act"] = "gelu";
  if (way == "quantization_config") config["quantization_config"] = {{"quant_method", "fp8"}};
  if (way == "other_architecture") config["architectures"] = {"LlamaForCausalLM"};
  if (way == "vision_config") config["vision_config"] = {{"hidden_size", 3}, {"depth", 0}};
}

std::string ConfigText(const OrderedJson& config) {
  return absl::StrReplaceAll(config.dump(), {{std::string(kAgain), ""}});
}

void MutateText(std::string_view way, std::string& text) {
  if (way == "empty") text.clear();
  if (way == "half") text.resize(text.size() / 2);
  if (way == "no_last_byte" && !text.empty()) text.pop_back();
  if (way == "byte_after") text += "x";
  if (way == "space_after") text += " \n\t ";
  if (way == "space_before") text = " \n" + text;
  if (way == "byte_order_mark") text = "\xEF\xBB\xBF" + text;
  if (way == "not_utf8" && text.size() > 1) text.insert(text.size() - 1, ",\"x\":\"\xC3\x28\"");
  if (way == "nul_after") text.push_back('\0');
  if (way == "nul_and_more") text.append("\0,x", 3);
  if (way == "list_around") text = "[" + text + "]";
  if (way == "second_document") text += "{}";
  if (way == "single_quotes") text = absl::StrReplaceAll(text, {{"\"", "'"}});
  if (way == "key_not_utf8" && text.size() > 1) text.insert(1, "\"\xED\xA0\x80\":null,");
  for (const auto& [name, levels] : {std::pair<std::string_view, int>{"deep_40", 40},
                                     {"deep_200", 200},
                                     {"deep_100000", 100000}}) {
    if (way == name && text.size() > 1) {
      text.insert(text.size() - 1, absl::StrCat(",\"x\":", Nested(levels)));
    }
  }
}

void MutateTokenizer(std::string_view way, OrderedJson& tokenizer) {
  OrderedJson& model = tokenizer["model"];
  if (way == "empty_object") tokenizer = OrderedJson::object();
  if (way == "model_missing") tokenizer.erase("model");
  if (way == "type_unknown") model["type"] = "Crosscheck";
  if (way == "vocab_short") model["vocab"] = {{"<unk>", 0}};
  if (way == "vocab_list") model["vocab"] = OrderedJson::array({"<unk>"});
  if (way == "ids_twice" && model["vocab"].contains("a")) model["vocab"]["a"] = 0;
  if (way == "id_beyond" && model["vocab"].contains("a")) model["vocab"]["a"] = 4294967295;
  if (way == "merge_unknown") model["merges"] = OrderedJson::array({"zz qq"});
  if (way == "unknown_key") tokenizer["crosscheck_unknown"] = 1;
}

}  // namespace crosscheck
