// Cases as RapidCheck generators: rc::check, RC_PRE, RC_CLASSIFY and RapidCheck's shrinking work on
// every subject.
//
// The only file that includes RapidCheck. RapidCheck gives one seed per case; draws and shrink
// steps are the subject's own, because RapidCheck's ranges grow with its size parameter and would
// miss boundaries in the first cases.
//
// Example:
//   bool holds = CheckCases("prints what it parses", 1, 100, [&] {
//     const Case c = *ArbitraryCase(subject, Limits{});
//     RC_ASSERT(subject.equal(*subject.parse(subject.print(c)), c));
//   });
#ifndef CROSSCHECK_PROPERTIES_ARBITRARY_H_
#define CROSSCHECK_PROPERTIES_ARBITRARY_H_

#include <rapidcheck.h>

#include <iostream>
#include <string>
#include <utility>

#include "properties/subject.h"

namespace crosscheck {

inline rc::Gen<Case> ArbitraryCase(const Subject& subject, const Limits& limits) {
  return [&subject, limits](const rc::Random& random, int /*size*/) {
    rc::Random source = random;
    Stream stream(source.next(), "rapidcheck");
    return rc::shrinkable::shrinkRecur(subject.random(stream, limits), [&subject](const Case& c) {
      return rc::seq::fromContainer(subject.shrink(c));
    });
  };
}

// How RapidCheck prints a counterexample.
inline void showValue(const Case& c, std::ostream& out) { out << c.subject().print(c); }

// rc::check with a fixed seed and number of cases: the same cases in every run. Reports to stderr.
template <class Testable>
bool CheckCases(const std::string& description, uint64_t seed, int cases, Testable&& testable) {
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = description;
  rc::detail::TestParams params;
  params.seed = seed;
  params.maxSuccess = cases;
  const rc::detail::TestResult result =
      rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  rc::detail::printResultMessage(result, std::cerr);
  return result.is<rc::detail::SuccessResult>();
}

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_ARBITRARY_H_
