// Changes of the JSON files of a checkpoint: config.json, the index, tokenizer.json, and of any
// JSON text.
#ifndef CROSSCHECK_PROPERTIES_MUTATIONS_JSON_MUTATIONS_H_
#define CROSSCHECK_PROPERTIES_MUTATIONS_JSON_MUTATIONS_H_

#include <string>
#include <string_view>

#include "nlohmann/json.hpp"
#include "properties/mutations/mutation.h"

namespace crosscheck {

using OrderedJson = nlohmann::ordered_json;

// kConfigValue and kConfigForm. "twice" cannot be said in a tree: it leaves a placeholder that
// ConfigText replaces.
void MutateConfig(const Mutation& mutation, OrderedJson& config);
std::string ConfigText(const OrderedJson& config);

// kConfigText, kHeaderText, kIndexText, kTokenizerText.
void MutateText(std::string_view way, std::string& text);

// kTokenizer but "missing", which is a matter of the folder.
void MutateTokenizer(std::string_view way, OrderedJson& tokenizer);

// `levels` lists in each other.
std::string Nested(int levels);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_MUTATIONS_JSON_MUTATIONS_H_
