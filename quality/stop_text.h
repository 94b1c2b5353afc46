// Why a greedy continuation ended, and the texts at which a prompt ends it.
#ifndef CROSSCHECK_QUALITY_STOP_TEXT_H_
#define CROSSCHECK_QUALITY_STOP_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "properties/judges/greedy.h"
#include "quality/tokenizer.h"

namespace crosscheck::quality {

// In the order of a dump's numbers: its budget, the end-of-sequence id, a stop text.
inline constexpr std::string_view kEndNames[] = {"length", "eos", "stop"};

// The number of one of kEndNames, and back. Other numbers, which other tools may write, are "eos".
int32_t EndCode(std::string_view name);
std::string_view EndName(int32_t code);

// Cuts `generated` behind the first token with which its text holds one of `stop`; it then ended
// by "stop". The ids alone decide, so every engine ends alike, whether or not it knows stop texts.
// FailedPrecondition: there are such texts and no tokenizer.
absl::Status EndAtStopText(Tokenizer* tokenizer, absl::Span<const std::string> stop,
                           Generated& generated);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_STOP_TEXT_H_
