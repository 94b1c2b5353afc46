// Brings inputs to where they are wanted: those of this shard's file and of other shards' files, of
// regressions and of fuzz targets go to the tasks, and what is new goes to the fuzz targets.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_EXCHANGE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_EXCHANGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/fuzz_targets.h"
#include "fuzz/campaign/ledger.h"
#include "fuzz/campaign/supervisor.h"
#include "fuzz/campaign/task_source.h"

namespace crosscheck {

class CorpusExchange {
 public:
  CorpusExchange(const CampaignOptions& options, Ledger& ledger, TaskSource& source,
                 FuzzTargets& targets)
      : options_(options), ledger_(ledger), source_(source), targets_(targets) {}

  void SetLimits(const Limits& limits);  // of the engine that the targets are built for
  // At the start: a build that is new to the campaign runs the whole corpus and the regressions;
  // otherwise the corpus is only there to be mutated.
  absl::Status Load();
  absl::Status ReadPeers();  // what other shards wrote since
  void TakeNew(const Task& task, std::vector<std::string> payloads);  // of a batch
  void TakeSlice(int target, const FuzzTargets::SliceResult& slice);
  void Replayed(const Task& task, bool failed);  // a target's finding, as a case

 private:
  absl::Status LoadFile(int shard);
  void LoadRegressions();
  bool IsChosen(std::string_view property) const;
  void Take(std::vector<std::string> payloads, bool recheck, const std::string& whose);
  void GiveToTargets(const CorpusInput& input);

  const CampaignOptions& options_;
  Ledger& ledger_;
  TaskSource& source_;
  FuzzTargets& targets_;
  Limits limits_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_EXCHANGE_H_
