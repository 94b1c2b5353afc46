#include "quality/dump_check.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {

const Json& ValueAt(const Json& manifest, const std::string& pointer) {
  static const Json kAbsent;
  const Json::json_pointer key(pointer);
  return manifest.contains(key) ? manifest[key] : kAbsent;
}

namespace {

absl::Status Differ(const DumpReader& reference, const DumpReader& candidate,
                    const std::string& what) {
  return absl::FailedPreconditionError(
      absl::StrCat(reference.folder(), " and ", candidate.folder(), " differ at ", what));
}

// Both sides of a key that both state.
absl::Status CheckStated(const DumpReader& reference, const DumpReader& candidate,
                         const std::string& key) {
  const Json &ours = ValueAt(reference.manifest(), key),
             &theirs = ValueAt(candidate.manifest(), key);
  if (ours.is_null() || theirs.is_null() || ours == theirs) return absl::OkStatus();
  return Differ(reference, candidate, FirstDifference(ours, theirs, key));
}

// What a candidate's weights were made from, else what it loaded.
const Json& Origin(const Json& manifest) {
  const Json& origin = ValueAt(manifest, "/model/of");
  return origin.is_null() ? ValueAt(manifest, "/model/files") : origin;
}

absl::Status CheckVocabularies(const DumpReader& reference, const DumpReader& candidate) {
  const int ours = VocabularyOf(reference), theirs = VocabularyOf(candidate);
  if (ours == theirs) return absl::OkStatus();
  const DumpReader& larger = ours > theirs ? reference : candidate;
  if (ModeOf(larger) == LogitMode::kFull) return absl::OkStatus();
  return Differ(reference, candidate,
                absl::StrCat("/model/vocab: ", ours, " and ", theirs, "; only a dump of mode full ",
                             "can be cut to the smaller one, and ", larger.folder(), " is ",
                             ValueAt(larger.manifest(), "/mode").dump()));
}

// "[5,6,7,…]" from place `at` on.
std::string Shown(const std::vector<int32_t>& ids, size_t at) {
  constexpr size_t kShown = 8;
  const size_t end = std::min(ids.size(), at + kShown);
  return absl::StrCat("[", absl::StrJoin(ids.begin() + std::min(at, end), ids.begin() + end, ","),
                      end < ids.size() ? ",…]" : "]");
}

bool IsAboutPrompts(const std::string& track) { return track == "greedy"; }

absl::Status CheckGreedyPrompt(DumpReader& dump, int item, const Prompt& prompt) {
  for (const char* what : {"prompt", "ids", "ended"}) {
    const auto tensor = dump.Read("greedy", item, what);
    if (!tensor.ok()) return tensor.status();
    if ((*tensor)->dtype != DType::kI32) {
      return absl::FailedPreconditionError(
          absl::StrCat(dump.folder(), ": ", (*tensor)->name, " is no I32"));
    }
  }
  const auto values = (*dump.Read("greedy", item, "prompt"))->As<int32_t>();
  const std::vector<int32_t> ids(values.begin(), values.end());
  if (ids == prompt.ids) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      dump.folder(), ": ", TensorName("greedy", item, "prompt"), " is ", Shown(ids, 0), ", ",
      std::string(kDumpPrompts), " has ", Shown(prompt.ids, 0), " for \"", prompt.id, "\""));
}

}  // namespace

int VocabularyOf(const DumpReader& dump) {
  return ValueAt(dump.manifest(), "/model/vocab").get<int>();
}

LogitMode ModeOf(const DumpReader& dump) {
  const std::string mode = ValueAt(dump.manifest(), "/mode").get<std::string>();
  const auto* const found = std::find(std::begin(kLogitModeNames), std::end(kLogitModeNames), mode);
  return static_cast<LogitMode>(found - std::begin(kLogitModeNames));
}

absl::Status CheckManifest(const DumpReader& dump) {
  const auto refuse = [&](const std::string& text) {
    return absl::FailedPreconditionError(absl::StrCat(dump.folder(), "/manifest.json: ", text));
  };
  const Json& vocab = ValueAt(dump.manifest(), "/model/vocab");
  if (!vocab.is_number_unsigned() || vocab < 1 || vocab > (1 << 24)) {
    return refuse(absl::StrCat("/model/vocab is ", vocab.dump(), ", not the number of tokens"));
  }
  const Json& mode = ValueAt(dump.manifest(), "/mode");
  const Json modes = kLogitModeNames;
  if (std::find(modes.begin(), modes.end(), mode) == modes.end()) {
    return refuse(absl::StrCat("/mode is ", mode.dump(), "; there are full, topk and scalars"));
  }
  const Json columns = kStatColumnNames;
  if (const Json& theirs = ValueAt(dump.manifest(), "/stat_columns"); theirs != columns) {
    return refuse(absl::StrCat("/stat_columns: ", theirs.dump(), " and ", columns.dump()));
  }
  return dump.CheckShards();
}

absl::StatusOr<std::vector<Prompt>> ReadDumpPrompts(const DumpReader& dump) {
  auto prompts = ReadPrompts(absl::StrCat(dump.folder(), "/", std::string(kDumpPrompts)));
  if (!prompts.ok()) return prompts;
  for (const Prompt& prompt : *prompts) {
    if (!prompt.ids.empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), "/prompts.jsonl: prompt \"", prompt.id, "\" has no ids"));
  }
  const Json& stated = ValueAt(dump.manifest(), "/prompts_sha256");
  const std::string hash = HashOfPrompts(*prompts);
  if (stated.is_null() || stated == hash) return prompts;
  return absl::FailedPreconditionError(absl::StrCat(dump.folder(), ": the ids of prompts.jsonl ",
                                                    "have SHA-256 ", hash, ", the manifest says ",
                                                    stated.dump()));
}

absl::Status CheckManifests(const DumpReader& reference, const DumpReader& candidate) {
  for (const char* track : {"greedy", "forced", "text", "steps", "sampled", "layers"}) {
    absl::Status same = CheckStated(reference, candidate, absl::StrCat("/tracks/", track));
    if (!same.ok()) return same;
  }
  if (absl::Status s = CheckStated(reference, candidate, "/text_sha256"); !s.ok()) return s;
  const Json &ours = Origin(reference.manifest()), &theirs = Origin(candidate.manifest());
  if (!ours.is_null() && !theirs.is_null() && ours != theirs) {
    return Differ(
        reference, candidate,
        absl::StrCat(FirstDifference(ours, theirs, "/model"),
                     "; a candidate made from the reference's model says so in /model/of"));
  }
  return CheckVocabularies(reference, candidate);
}

absl::Status CheckPrompts(const std::vector<Prompt>& reference, const std::string& reference_folder,
                          const std::vector<Prompt>& candidate,
                          const std::string& candidate_folder) {
  const auto differ = [&](const auto&... what) {
    return absl::FailedPreconditionError(absl::StrCat("the prompts of ", reference_folder, " and ",
                                                      candidate_folder, " differ: ", what...));
  };
  if (reference.size() != candidate.size()) {
    return differ(reference.size(), " and ", candidate.size(), " prompts");
  }
  for (size_t i = 0; i < reference.size(); ++i) {
    const Prompt &ours = reference[i], &theirs = candidate[i];
    if (ours.id != theirs.id) {
      return differ("line ", i + 1, " is \"", ours.id, "\" and \"", theirs.id, "\"");
    }
    if (ours.ids == theirs.ids) continue;
    const size_t at =
        std::mismatch(ours.ids.begin(), ours.ids.end(), theirs.ids.begin(), theirs.ids.end())
            .first -
        ours.ids.begin();
    const std::string splits = absl::StrCat("from token ", at, " on ", Shown(ours.ids, at), " and ",
                                            Shown(theirs.ids, at));
    if (!ours.text.empty() && ours.text == theirs.text) {
      return differ(
          "two tokenizers. The first text that they split differently is prompt \"", ours.id,
          "\", ",
          Json(ours.text.substr(0, 60)).dump(-1, ' ', false, Json::error_handler_t::replace), ": ",
          splits);
    }
    return differ("\"", ours.id, "\" is ", splits);
  }
  return absl::OkStatus();
}

namespace {

// What is asked about prompts has an item for each, or for the first of them.
absl::Status CheckAgainstPrompts(const DumpReader& dump, size_t prompts) {
  for (const std::string& track : dump.Tracks()) {
    const auto items = static_cast<size_t>(dump.Items(track));
    const bool of_some = track == "forced" || track == "layers" || track == "sampled";
    if ((!IsAboutPrompts(track) || items == prompts) && (!of_some || items <= prompts)) continue;
    return absl::FailedPreconditionError(absl::StrCat(dump.folder(), ": track ", track, " has ",
                                                      items, " items, prompts.jsonl has ", prompts,
                                                      " prompts"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckItems(DumpReader& reference, DumpReader& candidate,
                        const std::vector<Prompt>& prompts) {
  for (const std::string& track : reference.Tracks()) {
    const int ours = reference.Items(track), theirs = candidate.Items(track);
    if (theirs > 0 && ours != theirs) {
      return Differ(reference, candidate,
                    absl::StrCat("track ", track, ": ", ours, " and ", theirs,
                                 " items in done.jsonl; the shorter dump is not finished, or has "
                                 "lost a line"));
    }
  }
  for (DumpReader* dump : {&reference, &candidate}) {
    if (absl::Status s = CheckAgainstPrompts(*dump, prompts.size()); !s.ok()) return s;
    for (int item = 0; item < dump->Items("greedy"); ++item) {
      absl::Status same = CheckGreedyPrompt(*dump, item, prompts[static_cast<size_t>(item)]);
      if (!same.ok()) return same;
    }
  }
  return absl::OkStatus();
}

std::vector<Finding> TokenizerFindings(const DumpReader& reference, const DumpReader& candidate) {
  const Json& ours = ValueAt(reference.manifest(), "/tokenizer/fingerprint");
  const Json& theirs = ValueAt(candidate.manifest(), "/tokenizer/fingerprint");
  if (ours.is_null() || theirs.is_null() || ours == theirs) return {};
  return {
      {"tokenizer", absl::StrCat("the tokenizers split the fixed strings differently: ids with ",
                                 "SHA-256 ", ours.dump(), " and ", theirs.dump())}};
}

}  // namespace crosscheck::quality
