// The append-only file of a shard's inputs, WORKDIR/corpus.%06d: the only thing that machines
// share.
//
// A record is "xin1", the payload's length (4 bytes) and checksum (8 bytes), both little-endian,
// and the payload: a line `property = NAME`, then the case as its subject prints it. Text keyed by
// field name, so that a corpus outlives the generator that made it.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_FILE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "properties/property.h"

namespace crosscheck {

struct CorpusRecords {
  std::vector<std::string> payloads;
  int64_t end = 0;            // where the next read begins: after the last whole record
  int64_t skipped_bytes = 0;  // that belong to no record: a torn or damaged one
};

// Every whole record from `offset`. A record that is still being written is left for the next read;
// a damaged one is skipped. A missing file is empty.
absl::StatusOr<CorpusRecords> ReadCorpusRecords(const std::string& path, int64_t offset);

class CorpusWriter {
 public:
  // Creates the file, locks it (one supervisor per shard) and cuts off a torn record at its end.
  // Errors: another supervisor has it, the folder cannot be written.
  static absl::StatusOr<CorpusWriter> Open(const std::string& path);
  ~CorpusWriter();
  CorpusWriter(CorpusWriter&& other) noexcept;
  CorpusWriter& operator=(CorpusWriter&&) = delete;

  // One write; what a full disk leaves of it is removed again.
  absl::Status Append(std::string_view payload);
  int64_t torn_bytes() const { return torn_bytes_; }  // cut off by Open

 private:
  CorpusWriter(std::string path, int file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  int file_;
  int64_t torn_bytes_ = 0;
};

std::string CorpusFileName(int shard);  // corpus.000003

// The payload of a case, and back.
struct CorpusInput {
  const Property* property;
  Case value;
};
std::string PrintCorpusInput(const Property& property, const Case& c);
// Errors: a property or field that this build does not have.
absl::StatusOr<CorpusInput> ParseCorpusInput(std::string_view payload);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_CORPUS_FILE_H_
