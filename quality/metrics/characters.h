// Characters of UTF-8 text.
#ifndef CROSSCHECK_QUALITY_METRICS_CHARACTERS_H_
#define CROSSCHECK_QUALITY_METRICS_CHARACTERS_H_

#include <cstdint>
#include <string_view>

namespace crosscheck::quality {

inline constexpr int32_t kInvalidUtf8 = -1;

// Takes the first character off `text`, which is not empty. kInvalidUtf8 and one byte where no
// valid sequence begins (overlong forms, surrogates and values above U+10FFFF included).
int32_t NextCharacter(std::string_view& text);

// Code points; an invalid byte counts as one.
int64_t CountCharacters(std::string_view text);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_CHARACTERS_H_
