// The folder that an engine loads for a configuration: the checkpoint itself, or its weights as a
// format leaves them, written as float32.
#ifndef CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_
#define CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "quality/configuration.h"

namespace crosscheck::quality {

// Removes what it made when it is destroyed.
class CandidateFolder {
 public:
  // Decoded weights go to OUT/work. Errors name the tensor that the format cannot hold, or the file
  // that cannot be written.
  static absl::StatusOr<std::unique_ptr<CandidateFolder>> Make(const Configuration& configuration,
                                                               const std::string& model,
                                                               const std::string& out);
  ~CandidateFolder();
  CandidateFolder(const CandidateFolder&) = delete;
  CandidateFolder& operator=(const CandidateFolder&) = delete;

  const std::string& path() const { return path_; }
  double bits_per_weight() const { return bits_per_weight_; }  // of the whole model
  int64_t bytes() const { return bytes_; }

 private:
  CandidateFolder() = default;
  std::string path_, own_;  // own_: made here
  double bits_per_weight_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_CANDIDATE_FOLDER_H_
