// From values to places on a plot, and the ticks of an axis.
#ifndef CROSSCHECK_CLI_REPORTS_SVG_SCALE_H_
#define CROSSCHECK_CLI_REPORTS_SVG_SCALE_H_

#include <string>
#include <utility>
#include <vector>

#include "cli/reports/svg_chart.h"

namespace crosscheck {

class SvgScale {
 public:
  // Maps the values, widened to the axis' own limits, to [from, to] of the picture.
  SvgScale(const PlotAxis& axis, const std::vector<double>& values, double from, double to);
  double At(double value) const;
  std::vector<std::pair<double, std::string>> Ticks() const;  // values in the range and their text

 private:
  const PlotAxis& axis_;
  double least_ = 0, largest_ = 1;  // decades where the axis is logarithmic
  double from_, to_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_SVG_SCALE_H_
