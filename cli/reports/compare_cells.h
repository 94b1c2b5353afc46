// How the reports of `crosscheck compare` write one number, verdict or place.
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_

#include <string>

#include "quality/compare.h"

namespace crosscheck {

std::string VerdictWord(quality::GateVerdict verdict);  // "PASS"
// Null where it was not measured; the functions below then write "–".
const quality::Estimate* FindMetric(const quality::ConfigurationResult& result,
                                    const std::string& metric);
std::string IntervalText(const quality::Estimate* estimate);  // "1.2e-05 [9.0e-06, 1.6e-05]"
std::string RateText(const quality::Estimate* estimate);      // "299/300"
// "99.7 % [99.1, 99.9]": one decimal below a thousand positions, two above; never 100 by rounding.
std::string ShareText(const quality::Estimate* estimate);
// "0.12 [0.09, 0.2]", below a thousand positions "0.12 (the maximum)".
std::string TailText(const quality::ConfigurationResult& result);
// "gates: 4 passed, 1 failed, 0 undecided; findings: 0; not measured: 2".
std::string CountsText(const quality::Comparison& comparison);
// Of weights; "–" where they are not known.
std::string BitsText(const quality::ConfigurationResult& result);      // "4.50"
std::string MebibyteText(const quality::ConfigurationResult& result);  // "512.3"
// The stage whose added error is the largest share of its bound, where that was measured, else the
// one with the least cosine: "L03 attention (added error 1.8 of its bound, cosine 0.99912)".
std::string WorstLayerText(const quality::ConfigurationResult& result);
// What stands behind every interval.
inline constexpr char kIntervals[] =
    "Intervals: 95 %; of means by prompts or windows as clusters, of quantiles, ratios and BLEU by "
    "2,000 bootstrap resamples of them, of rates Wilson's.";
// ", at most: they are added in a seeded order until …", or "".
std::string SequentialText(const quality::Comparison& comparison);
// "window 512/256": numbers of different schemes are not comparable.
std::string SchemeText(const quality::Comparison& comparison);
// Files of the model, tokenizer, prompts, reference and build, with hashes cut to 12 characters.
std::string IdentityText(const quality::Comparison& comparison);
// Questions and requests of a task, its files with rows and cut hashes.
std::string TaskText(const quality::TaskRequests& task);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_
