// What an engine's hello says that it serves, as limits of the generator.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/executor.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {
namespace {

// The families of a list of hello.limits, one bit each; `absent` where there is none.
uint32_t ReadFamilies(const Json& said, const char* key, uint32_t absent) {
  const auto list = said.is_object() ? said.find(key) : said.end();
  if (!said.is_object() || list == said.end() || !list->is_array()) return absent;
  uint32_t families = 0;
  for (size_t i = 0; i < std::size(kFamilyNames); ++i) {
    if (std::find(list->begin(), list->end(), kFamilyNames[i]) != list->end()) {
      families |= uint32_t{1} << i;
    }
  }
  return families;
}

// The first paths of ModelPath that hello.limits.paths names; all where it does not say.
int CountPaths(const Json& said) {
  const auto list = said.is_object() ? said.find("paths") : said.end();
  if (!said.is_object() || list == said.end() || !list->is_array()) {
    return static_cast<int>(std::size(kModelPathNames));
  }
  int count = 1;  // every model answers its prompt
  for (size_t i = 1; i < std::size(kModelPathNames); ++i) {
    if (std::find(list->begin(), list->end(), kModelPathNames[i]) == list->end()) break;
    ++count;
  }
  return count;
}

void NameMissingFamilies(const Limits& limits, std::vector<std::string>& narrowed) {
  for (size_t i = 0; i < std::size(kFamilyNames); ++i) {
    const std::string label = "family:" + std::string(kFamilyNames[i]);
    const bool served = (limits.families >> i & 1) != 0;
    if (!served) narrowed.push_back(label);
    if (served && (limits.tied_families >> i & 1) == 0) {
      narrowed.push_back("tied head of " + label);
    }
  }
}

}  // namespace

std::vector<std::string> MissingExtensions(const Property& property, const Json& hello) {
  std::vector<std::string> missing;
  const auto extensions = hello.find("extensions");
  for (std::string_view need : property.needs) {
    const bool found = extensions != hello.end() && extensions->is_array() &&
                       std::find(extensions->begin(), extensions->end(), need) != extensions->end();
    if (!found) missing.emplace_back(need);
  }
  return missing;
}

Limits NarrowLimits(const Json& hello, std::vector<std::string>* narrowed) {
  const Json said = hello.is_object() ? hello.value("limits", Json()) : Json();
  const auto serves = [&](const char* what) {
    const auto found = said.is_object() ? said.find(what) : said.end();
    return said.is_object() && found != said.end() && found->is_boolean() && found->get<bool>();
  };
  const Json storage = said.is_object() ? said.value("storage", Json()) : Json();
  const auto stores = [&](const char* dtype) {
    return storage.is_array() && std::find(storage.begin(), storage.end(), dtype) != storage.end();
  };
  // What an engine has to say only where it is the exception.
  const auto lacks = [&](const char* what) {
    const auto found = said.is_object() ? said.find(what) : said.end();
    return said.is_object() && found != said.end() && *found == false;
  };
  Limits limits;
  limits.paths = CountPaths(said);
  limits.min_p = !lacks("min_p");
  limits.logit_bias = !lacks("logit_bias");
  limits.sampler_history = !lacks("sampler_history");
  limits.logprobs = !lacks("logprobs");
  limits.streams = !lacks("stream");
  limits.masks = serves("masks");
  limits.chunked_prefill = serves("chunked_prefill");
  limits.reduced_storage = stores("BF16") && stores("F16");
  limits.families = ReadFamilies(said, "families", 1u << static_cast<uint32_t>(Family::kQwen35));
  limits.tied_families = ReadFamilies(said, "tied_families", limits.families);
  if (narrowed != nullptr) {
    if (!limits.masks) narrowed->push_back("masks");
    if (!limits.chunked_prefill) narrowed->push_back("chunked_prefill");
    if (!limits.reduced_storage) narrowed->push_back("reduced_storage");
    for (size_t i = limits.paths; i < std::size(kModelPathNames); ++i) {
      narrowed->push_back("path:" + std::string(kModelPathNames[i]));
    }
    const std::pair<bool, const char*> others[] = {{limits.min_p, "min_p"},
                                                   {limits.logit_bias, "bias"},
                                                   {limits.sampler_history, "history"},
                                                   {limits.logprobs, "log_probs"},
                                                   {limits.streams, "stream"}};
    for (const auto& [served, label] : others) {
      if (!served) narrowed->push_back(label);
    }
    NameMissingFamilies(limits, *narrowed);
  }
  return limits;
}

}  // namespace crosscheck
