// Checks that an answer is what its request asked for: names, dtypes, shapes and echoed fields.
// Says nothing about values.
#ifndef CROSSCHECK_ENGINES_ANSWER_CHECK_H_
#define CROSSCHECK_ENGINES_ANSWER_CHECK_H_

#include <string>

#include "engines/message.h"

namespace crosscheck {

// The first field of a successful answer that breaks the protocol, as "field, expected X, got Y";
// "" when none does. `request` is the head of the request; `vocab` that of the model it names, 0
// when unknown.
std::string CheckAnswer(const Json& request, const Message& answer, int vocab);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_ANSWER_CHECK_H_
