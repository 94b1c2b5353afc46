// How lm-evaluation-harness cleans the texts of HellaSwag.
#ifndef CROSSCHECK_QUALITY_TASKS_HELLASWAG_H_
#define CROSSCHECK_QUALITY_TASKS_HELLASWAG_H_

#include <string>
#include <string_view>

namespace crosscheck::quality {

// Without white space at both ends; " [title]" becomes ". ", other text in brackets goes, each pair
// of spaces becomes one, in one pass.
std::string CleanHellaSwag(std::string_view text);

// The first character in upper case, all others in lower case, as Unicode's simple mapping has
// them. `text` is UTF-8.
std::string Capitalise(std::string_view text);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASKS_HELLASWAG_H_
