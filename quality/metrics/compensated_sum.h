// A sum whose rounding error does not grow with the number of terms (Neumaier's variant of Kahan's
// algorithm): a vocabulary has 250,000 of them, often equal, so that plain rounding is systematic.
#ifndef CROSSCHECK_QUALITY_METRICS_COMPENSATED_SUM_H_
#define CROSSCHECK_QUALITY_METRICS_COMPENSATED_SUM_H_

#include <cmath>

namespace crosscheck::quality {

// Of finite terms.
class CompensatedSum {
 public:
  void operator+=(double term) {
    const double sum = sum_ + term;
    lost_ += std::abs(sum_) >= std::abs(term) ? (sum_ - sum) + term : (term - sum) + sum_;
    sum_ = sum;
  }
  double value() const { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_COMPENSATED_SUM_H_
