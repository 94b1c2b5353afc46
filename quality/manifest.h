// The manifest of a dump: everything that determines its values.
#ifndef CROSSCHECK_QUALITY_MANIFEST_H_
#define CROSSCHECK_QUALITY_MANIFEST_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "quality/compare.h"
#include "quality/dump.h"
#include "quality/side.h"

namespace crosscheck::quality {

// What every manifest says: format, role, model, engine and configuration as the engine echoes it.
Json DescribeSide(std::string_view role, const Side& side, const Json& model);

// `role`: reference, noise or candidate; `model`: identity of the folder that the side loaded;
// `against`: SHA-256 of the manifest of the reference's dump, "" for the reference.
Json MakeManifest(std::string_view role, const Side& side, const Json& model, const Inputs& inputs,
                  const CompareOptions& options, LogitMode mode, const std::string& against);

// What must hold before any number of two dumps is compared: the same prompts, tokens, tokenizer
// and vocabulary, the same parameters of the tracks. FailedPrecondition names both values.
absl::Status CheckComparable(const Json& reference, const Json& candidate);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_MANIFEST_H_
