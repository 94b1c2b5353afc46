// What `crosscheck fuzz` shows while it runs: one screen on a terminal, plain lines elsewhere, or
// one JSON object per event.
#ifndef CROSSCHECK_CLI_FUZZ_DISPLAY_H_
#define CROSSCHECK_CLI_FUZZ_DISPLAY_H_

#include <string>

#include "fuzz/campaign/supervisor.h"

namespace crosscheck {

class FuzzDisplay {
 public:
  enum class Form { kScreen, kLines, kJsonLines, kNothing };
  explicit FuzzDisplay(Form form) : form_(form) {}

  void Finding(const FindingRow& finding, FindingDesk::News news);
  void Notice(const std::string& text);
  void Status(const CampaignStatus& status);
  void Sample(const SampleRow& sample) const;
  void Batch(const BatchRow& batch) const;
  void Close();  // leaves the screen as it is

  CampaignObserver Observer();

 private:
  void Print(const std::string& text);  // above the screen
  void Draw();
  void Erase();

  const Form form_;
  CampaignStatus status_;
  std::string drawn_;     // what the screen shows below everything else
  double next_line_ = 0;  // kLines: seconds of the run
};

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_FUZZ_DISPLAY_H_
