#include "reference/tokenizer_json.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr int kMaxEntries = 256;

// 'a'..'~', then ' '..'`', then what is not printable ASCII.
int ByteOfId(int id) {
  const int i = id - 1;
  if (i < 30) return 'a' + i;
  if (i < 95) return ' ' + i - 30;
  return (127 + i - 95) % 256;
}

bool ShownAsItself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
         (byte >= 174 && byte <= 255);
}

// Byte-level BPE writes byte b as the character b where that is visible, else as character 256 + n
// for the n-th of the others.
std::array<int, 256> ByteCharacters() {
  std::array<int, 256> characters = {};
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) characters[byte] = ShownAsItself(byte) ? byte : next++;
  return characters;
}

void AppendJsonCharacter(std::string* text, int character) {
  if (character == '"' || character == '\\') text->push_back('\\');
  if (character < 0x80) {
    text->push_back(static_cast<char>(character));
    return;
  }
  text->push_back(static_cast<char>(0xC0 | (character >> 6)));
  text->push_back(static_cast<char>(0x80 | (character & 0x3F)));
}

}  // namespace

std::string TokenizerJson(int vocab) {
  static constexpr std::string_view kByteLevel = R"("trim_offsets":true,"use_regex":true})";
  const std::array<int, 256> characters = ByteCharacters();
  std::string text;
  text.reserve(5120);
  text.append(
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,)");
  text.append(R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)")
      .append(kByteLevel);
  text.append(R"(,"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,)")
      .append(kByteLevel);
  text.append(
      R"(,"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,)");
  text.append(
      R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,)");
  text.append(R"("vocab":{"<unk>":0)");
  for (int id = 1; id < std::min(vocab, kMaxEntries); ++id) {
    text.append(",\"");
    AppendJsonCharacter(&text, characters[ByteOfId(id)]);
    absl::StrAppend(&text, "\":", id);
  }
  text.append(R"(},"merges":[]}})");
  return text;
}

}  // namespace crosscheck
