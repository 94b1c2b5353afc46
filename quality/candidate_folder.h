// The folder that an engine loads for a configuration: the checkpoint itself, or its weights as a
// format leaves them, written as float32.
#ifndef CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_
#define CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/configuration.h"
#include "reference/weights.h"

namespace crosscheck::quality {

// Removes what it made when it is destroyed.
class CandidateFolder {
 public:
  // A quantised folder is decoded too (reference/quantisation/quantised_folder.h). Decoded weights
  // go to OUT/work. Errors name the tensor that the format cannot hold, or the file that cannot be
  // written.
  static absl::StatusOr<std::unique_ptr<CandidateFolder>> Make(const Configuration& configuration,
                                                               const std::string& model,
                                                               const std::string& out);
  ~CandidateFolder();
  CandidateFolder(const CandidateFolder&) = delete;
  CandidateFolder& operator=(const CandidateFolder&) = delete;

  const std::string& path() const { return path_; }
  double bits_per_weight() const { return bits_per_weight_; }  // of the whole model
  int64_t bytes() const { return bytes_; }
  // What the folder holds, "projections q4_sym, lm_head q4_sym, …", and what is wrong with it.
  const std::string& description() const { return description_; }
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  CandidateFolder() = default;
  absl::Status Write(const Model& decoded, const std::string& name, const std::string& reference,
                     const std::string& out);

  std::string path_, own_, description_;  // own_: made here
  std::vector<std::string> findings_;
  double bits_per_weight_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_
