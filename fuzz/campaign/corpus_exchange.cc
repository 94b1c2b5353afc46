#include "fuzz/campaign/corpus_exchange.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/corpus_store.h"
#include "fuzz/fuzz_target.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

// The first byte of a target's input chooses the property.
std::string PropertyOf(const std::string& subject, const std::string& hex) {
  const std::string first = FromHex(hex.substr(0, 2));
  const Bytes input(reinterpret_cast<const uint8_t*>(first.data()), first.size());
  return std::string(PropertyOfInput(*FindSubject(subject), input).name);
}

}  // namespace

void CorpusExchange::SetLimits(const Limits& limits) { limits_ = FuzzLimits(limits); }

absl::Status CorpusExchange::Load() {
  for (int shard = 0; shard < options_.shards; ++shard) {
    if (absl::Status loaded = LoadFile(shard); !loaded.ok()) return loaded;
  }
  if (ledger_.new_build()) LoadRegressions();
  return absl::OkStatus();
}

absl::Status CorpusExchange::LoadFile(int shard) {
  auto records = ReadCorpusRecords(ledger_.CorpusPath(shard), 0);
  if (!records.ok()) return records.status();
  if (shard == options_.shard) {
    ledger_.CountInputs(static_cast<int64_t>(records->payloads.size()));
  }
  Take(std::move(records->payloads), ledger_.new_build(), CorpusFileName(shard));
  return shard == options_.shard ? absl::OkStatus()
                                 : ledger_.store().SetOffset(shard, records->end);
}

void CorpusExchange::LoadRegressions() {
  std::map<std::string, std::vector<std::string>> by_property;
  for (const std::string& path : options_.regressions) {
    auto entry = ReadEntry(path);
    if (!entry.ok()) {
      ledger_.Notice(std::string(entry.status().message()));
      continue;
    }
    const Property* property = FindProperty(entry->signature.property);
    if (property == nullptr || !IsChosen(property->name)) continue;
    by_property[std::string(property->name)].push_back(PrintCorpusInput(*property, entry->value));
  }
  for (auto& [property, inputs] : by_property) {
    source_.Recheck(property, std::move(inputs), "", true);
  }
}

bool CorpusExchange::IsChosen(std::string_view property) const {
  const auto& chosen = options_.properties;
  return std::find(chosen.begin(), chosen.end(), property) != chosen.end();
}

void CorpusExchange::Take(std::vector<std::string> payloads, bool recheck,
                          const std::string& whose) {
  std::map<std::string, std::vector<std::string>> by_property;
  int64_t unreadable = 0;
  for (std::string& payload : payloads) {
    auto input = ParseCorpusInput(payload);
    if (!input.ok()) {
      ++unreadable;
      continue;
    }
    const std::string property(input->property->name);
    if (!IsChosen(property)) continue;
    GiveToTargets(*input);
    if (recheck) {
      by_property[property].push_back(std::move(payload));
    } else {
      source_.AddToPool(property, std::move(payload));
    }
  }
  for (auto& [property, inputs] : by_property) {
    source_.Recheck(property, std::move(inputs), "", false);
  }
  if (unreadable > 0) {
    ledger_.Notice(absl::StrCat(unreadable, " inputs of ", whose,
                                " have a property or field that this build does not have"));
  }
}

void CorpusExchange::GiveToTargets(const CorpusInput& input) {
  const Subject& subject = input.value.subject();
  for (size_t i = 0; i < targets_.names().size() && !ledger_.disk_full(); ++i) {
    const int target = static_cast<int>(i);
    if (targets_.subject(target) != subject.name) continue;
    const std::string bytes = TargetBytes(*input.property, input.value, limits_);
    // A help for the target's search; nothing is lost without it.
    targets_.AddSeed(target, bytes).IgnoreError();
  }
}

absl::Status CorpusExchange::ReadPeers() {
  for (int shard = 0; shard < options_.shards; ++shard) {
    if (shard == options_.shard) continue;
    auto offset = ledger_.store().Offset(shard);
    if (!offset.ok()) return offset.status();
    auto records = ReadCorpusRecords(ledger_.CorpusPath(shard), *offset);
    if (!records.ok()) return records.status();
    if (records->skipped_bytes > 0) {
      ledger_.Notice(absl::StrCat(records->skipped_bytes, " damaged bytes in ",
                                  CorpusFileName(shard), " were skipped"));
    }
    if (records->payloads.empty()) continue;
    Take(std::move(records->payloads), true, CorpusFileName(shard));
    absl::Status set = ledger_.store().SetOffset(shard, records->end);
    if (!set.ok()) return set;
  }
  return absl::OkStatus();
}

void CorpusExchange::TakeNew(const Task& task, std::vector<std::string> payloads) {
  for (std::string& payload : payloads) {
    auto input = ParseCorpusInput(payload);
    // What came from a target is there already.
    if (input.ok() && task.batch.subject.empty()) GiveToTargets(*input);
    source_.AddToPool(task.batch.property, std::move(payload));
  }
}

void CorpusExchange::TakeSlice(int target, const FuzzTargets::SliceResult& slice) {
  const std::string& subject = targets_.subject(target);
  std::map<std::string, std::vector<std::string>> by_property;
  for (const std::string& hex : slice.inputs) by_property[PropertyOf(subject, hex)].push_back(hex);
  for (auto& [property, inputs] : by_property) {
    if (IsChosen(property)) source_.Recheck(property, std::move(inputs), subject, true);
  }
  for (const std::string& path : slice.artifacts) {
    auto bytes = ReadFile(path);
    if (!bytes.ok()) continue;
    const std::string hex = ToHex(*bytes);
    const std::string property = PropertyOf(subject, hex);
    if (IsChosen(property)) source_.Recheck(property, {hex}, subject, true, path);
  }
}

void CorpusExchange::Replayed(const Task& task, bool failed) {
  if (failed) {
    std::error_code ignored;
    std::filesystem::remove(task.artifact, ignored);
  } else {
    ledger_.Notice(absl::StrCat("a finding of ", task.batch.subject,
                                "_fuzzer does not fail in crosscheck; its bytes stay in ",
                                task.artifact));
  }
}

}  // namespace crosscheck
