// SHA-256 of what a dump was made from and of its own shards (OpenSSL's).
#ifndef CROSSCHECK_QUALITY_SHA256_H_
#define CROSSCHECK_QUALITY_SHA256_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

// 64 hexadecimal digits.
std::string Sha256(std::string_view bytes);
// Of a file, read in pieces.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_SHA256_H_
