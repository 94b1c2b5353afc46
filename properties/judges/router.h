// Near ties of a router (judging.md 4.6): expert selection is discontinuous, so where the exact
// margin between the last chosen and the first rejected expert is within what a correct router may
// be off by, that position and all later ones of its sequence are not judged but counted.
//
// What a correct router may be off by is the bound of logits applied to router logits: both are one
// product with a normalised stream. The references are followed only up to the tie that they
// themselves may have broken otherwise.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_ROUTER_H_
#define CROSSCHECK_PROPERTIES_JUDGES_ROUTER_H_

#include <vector>

#include "properties/logits.h"
#include "reference/error_bound.h"

namespace crosscheck {

class RouterTies {
 public:
  // `bucket` may be null. `experts_per_token` of the model; `exact` holds the router logits of
  // every sequence, or none: then there are no ties.
  RouterTies(const BucketBounds* bucket, int experts_per_token, const LogitsAnswer& exact);

  // Takes the references' router logits into account; may find ties earlier, never later.
  void Consult(const std::vector<LogitsAnswer>& references);
  // The positions of `answer` before the ties; `dropped` counts the others.
  LogitsAnswer Before(const LogitsAnswer& answer, int& dropped) const;

 private:
  // The first position with a tie, `error` being the largest of the references so far.
  int FirstTie(size_t sequence, const std::vector<LogitsAnswer>& references, double& error) const;

  const BucketBounds* bucket_;
  int experts_per_token_;
  const LogitsAnswer& exact_;
  std::vector<int> first_;  // position that is not judged, one for each sequence
};

// Exact logit of the last of the k chosen experts less that of the first rejected one; infinity
// where none is rejected.
double RouterMargin(absl::Span<const double> router_logits, int experts_per_token);

// Ties for two fp64 implementations: margins within 1e-9 of the largest router logit, the largest
// difference that reference_agreement allows for logits.
LogitsAnswer BeforeFp64Ties(const LogitsAnswer& exact, int experts_per_token,
                            const LogitsAnswer& answer, int& dropped);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_ROUTER_H_
