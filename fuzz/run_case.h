// Case × property → verdict: the only way in which anything is judged.
#ifndef CROSSCHECK_FUZZ_RUN_CASE_H_
#define CROSSCHECK_FUZZ_RUN_CASE_H_

#include "fuzz/executor.h"
#include "properties/property.h"

namespace crosscheck {

// Fills signature.property and signature.engine_family, turns missing extensions into UNSUPPORTED
// and a PASS that judged nothing into UNSUPPORTED, and never throws.
Verdict RunCase(const Property& property, const Case& c, Executor& executor);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_RUN_CASE_H_
