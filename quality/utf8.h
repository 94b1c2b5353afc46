// UTF-8 in texts from outside: they go into JSON, which takes no other bytes.
#ifndef CROSSCHECK_QUALITY_UTF8_H_
#define CROSSCHECK_QUALITY_UTF8_H_

#include <string_view>

#include "absl/status/status.h"

namespace crosscheck::quality {

// InvalidArgument names `source` and the first byte, from 0, that begins no well-formed code point
// (Unicode, table 3-7: no surrogates, no longer forms than needed).
absl::Status CheckUtf8(std::string_view text, std::string_view source);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_UTF8_H_
