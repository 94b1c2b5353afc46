#include "properties/judges/answers.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/failure.h"

namespace crosscheck {

std::optional<Verdict> ReadEngineLogits(const Reply& reply, const ModelRunCase& c,
                                        std::string_view stage, LogitsAnswer& answer) {
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  auto read = ReadLogits(reply.message, c, c.path);
  if (!read.ok()) return ProtocolLie(stage, read.status());
  if (!read->path_ran) return DidNotRun(stage, "path " + PathName(c.path));
  answer = *std::move(read);
  return std::nullopt;
}

std::optional<Verdict> ReadExactLogits(const Reply& reply, const ModelRunCase& c,
                                       std::string_view stage, LogitsAnswer& exact) {
  if (!reply.ok()) return ReferenceFailure(*reply.failure, "exact", stage);
  auto read = ReadExact(reply.message, c);
  if (!read.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       "the exact model: " + read.status().ToString());
  }
  exact = *std::move(read);
  return std::nullopt;
}

}  // namespace crosscheck
