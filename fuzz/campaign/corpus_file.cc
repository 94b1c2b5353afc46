#include "fuzz/campaign/corpus_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fuzz/corpus_store.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

constexpr std::string_view kMagic = "xin1";
constexpr size_t kHeaderBytes = 4 + 4 + 8;
constexpr uint32_t kMostBytes = 16 << 20;  // of a payload; a larger length is damage
constexpr std::string_view kPropertyKey = "property = ";

void AppendNumber(uint64_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t NumberAt(std::string_view bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

absl::Status FileError(const std::string& path, const char* what) {
  const std::string text = absl::StrCat("corpus file ", path, ": ", what, ": ", strerror(errno));
  return errno == ENOSPC || errno == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::PermissionDeniedError(text);
}

absl::StatusOr<std::string> ReadFrom(int file, const std::string& path, int64_t offset) {
  std::string bytes;
  char block[64 << 10];
  for (;;) {
    const ssize_t count =
        pread(file, block, sizeof block, offset + static_cast<int64_t>(bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError(path, "cannot read");
    if (count == 0) return bytes;
    bytes.append(block, static_cast<size_t>(count));
  }
}

// Parses `bytes`, which stand at `offset` of the file.
CorpusRecords Parse(std::string_view bytes, int64_t offset) {
  CorpusRecords records;
  size_t at = 0, good = 0;  // `good`: the end of the last whole record
  while (at + kHeaderBytes <= bytes.size()) {
    const uint64_t length = NumberAt(bytes, at + 4, 4);
    const bool is_header = bytes.substr(at, 4) == kMagic && length <= kMostBytes;
    const size_t end = at + kHeaderBytes + length;
    if (is_header && end <= bytes.size()) {
      const std::string_view payload = bytes.substr(at + kHeaderBytes, length);
      if (HashName(payload) == NumberAt(bytes, at + 8, 8)) {
        records.skipped_bytes += static_cast<int64_t>(at - good);
        records.payloads.emplace_back(payload);
        at = good = end;
        continue;
      }
    }
    const size_t next = bytes.find(kMagic, at + 1);
    if (next == std::string_view::npos) break;
    at = next;
  }
  records.end = offset + static_cast<int64_t>(good);
  return records;
}

}  // namespace

absl::StatusOr<CorpusRecords> ReadCorpusRecords(const std::string& path, int64_t offset) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return CorpusRecords{.payloads = {}, .end = offset};
    return FileError(path, "cannot open");
  }
  absl::StatusOr<std::string> bytes = ReadFrom(file, path, offset);
  close(file);
  if (!bytes.ok()) return bytes.status();
  return Parse(*bytes, offset);
}

absl::StatusOr<CorpusWriter> CorpusWriter::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return FileError(path, "cannot open for writing");
  CorpusWriter writer(path, file);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": another `crosscheck fuzz` runs this shard; stop it, or start this one with "
                     "another --shard or --workdir"));
  }
  absl::StatusOr<std::string> bytes = ReadFrom(file, path, 0);
  if (!bytes.ok()) return bytes.status();
  const int64_t end = Parse(*bytes, 0).end;
  writer.torn_bytes_ = static_cast<int64_t>(bytes->size()) - end;
  if (writer.torn_bytes_ > 0 && ftruncate(file, end) != 0) return FileError(path, "cannot shorten");
  return writer;
}

CorpusWriter::CorpusWriter(CorpusWriter&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      torn_bytes_(other.torn_bytes_) {}

CorpusWriter::~CorpusWriter() {
  if (file_ >= 0) close(file_);
}

absl::Status CorpusWriter::Append(std::string_view payload) {
  std::string record(kMagic);
  AppendNumber(payload.size(), 4, record);
  AppendNumber(HashName(payload), 8, record);
  record.append(payload);
  struct stat before = {};
  if (fstat(file_, &before) != 0) return FileError(path_, "cannot look at");
  const ssize_t written = write(file_, record.data(), record.size());
  if (written == static_cast<ssize_t>(record.size())) return absl::OkStatus();
  if (written >= 0) errno = ENOSPC;
  absl::Status status = FileError(path_, "cannot append");
  if (ftruncate(file_, before.st_size) != 0) return FileError(path_, "cannot shorten");
  return status;
}

std::string CorpusFileName(int shard) { return absl::StrFormat("corpus.%06d", shard); }

std::string PrintCorpusInput(const Property& property, const Case& c) {
  return absl::StrCat("property = ", std::string(property.name), "\n", c.subject().print(c));
}

absl::StatusOr<CorpusInput> ParseCorpusInput(std::string_view payload) {
  const size_t end = std::min(payload.find('\n'), payload.size());
  std::string_view name = payload.substr(0, end);
  if (!name.starts_with(kPropertyKey)) {
    return absl::InvalidArgumentError("corpus input: the line 'property = NAME' is missing");
  }
  name.remove_prefix(kPropertyKey.size());
  const Property* property = FindProperty(name);
  if (property == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("corpus input: there is no property '", std::string(name), "'"));
  }
  absl::StatusOr<Case> value =
      ParseBareCase(std::string(payload.substr(std::min(end + 1, payload.size()))), "corpus input");
  if (!value.ok()) return value.status();
  if (&value->subject() != property->subject) {
    return absl::InvalidArgumentError("corpus input: the case is not of its property's subject");
  }
  return CorpusInput{property, *std::move(value)};
}

}  // namespace crosscheck
