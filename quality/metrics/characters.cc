#include "quality/metrics/characters.h"

#include <cstddef>

namespace crosscheck::quality {
namespace {

struct Form {
  uint8_t mask, lead;
  size_t length;
  int32_t least;  // a smaller value has a shorter form
};
constexpr Form kForms[] = {
    {0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};

// 0: no valid character begins here.
size_t Decode(std::string_view text, int32_t& character) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (const Form& form : kForms) {
    if ((byte(0) & form.mask) != form.lead) continue;
    if (text.size() < form.length) return 0;
    character = byte(0) & static_cast<uint8_t>(~form.mask);
    for (size_t i = 1; i < form.length; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return 0;
      character = character << 6 | (byte(i) & 0x3f);
    }
    const bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return character < form.least || character > 0x10ffff || surrogate ? 0 : form.length;
  }
  return 0;
}

}  // namespace

int32_t NextCharacter(std::string_view& text) {
  int32_t character = 0;
  const size_t length = Decode(text, character);
  text.remove_prefix(length == 0 ? 1 : length);
  return length == 0 ? kInvalidUtf8 : character;
}

int64_t CountCharacters(std::string_view text) {
  int64_t count = 0;
  for (; !text.empty(); ++count) NextCharacter(text);
  return count;
}

}  // namespace crosscheck::quality
