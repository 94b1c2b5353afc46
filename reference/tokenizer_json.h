// The smallest tokenizer.json that byte-level BPE loaders accept.
#ifndef CROSSCHECK_REFERENCE_TOKENIZER_JSON_H_
#define CROSSCHECK_REFERENCE_TOKENIZER_JSON_H_

#include <string>

namespace crosscheck {

// Id 0 is "<unk>", ids 1..min(vocab, 256)-1 are one byte each (a-z and the other printable ASCII
// first), no merges: a string is a token-id sequence. Capped at 256 entries because an engine's
// load time grows with them.
std::string TokenizerJson(int vocab);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_TOKENIZER_JSON_H_
