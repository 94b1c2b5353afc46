#include "cli/reports/svg_scale.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

namespace crosscheck {
namespace {

constexpr double kTicks = 5;
constexpr double kMostDecades = 7;  // with a tick each

// The least of 1, 2, 5 times a power of ten that gives about kTicks steps.
double NiceStep(double range) {
  const double power = std::pow(10, std::floor(std::log10(range / kTicks)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power * kTicks >= range) return factor * power;
  }
  return 10 * power;
}

std::string TickText(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

}  // namespace

SvgScale::SvgScale(const PlotAxis& axis, const std::vector<double>& values, double from, double to)
    : axis_(axis), from_(from), to_(to) {
  std::vector<double> placed;
  for (const double value : values) {
    if (!std::isfinite(value) || (axis.logarithmic && value <= 0)) continue;
    placed.push_back(axis.logarithmic ? std::log10(value) : value);
  }
  if (placed.empty()) placed = {0};
  least_ = *std::min_element(placed.begin(), placed.end());
  largest_ = *std::max_element(placed.begin(), placed.end());
  if (axis.least)
    least_ = std::min(least_, axis.logarithmic ? std::log10(*axis.least) : *axis.least);
  if (axis.largest) {
    largest_ = std::max(largest_, axis.logarithmic ? std::log10(*axis.largest) : *axis.largest);
  }
  if (axis.from_zero && !axis.logarithmic) least_ = std::min(least_, 0.0);
  if (axis.logarithmic) {
    least_ = std::floor(least_ + 1e-9);
    largest_ = std::ceil(largest_ - 1e-9);
  }
  if (largest_ - least_ < 1e-12 * (1 + std::abs(largest_))) largest_ = least_ + 1;
}

double SvgScale::At(double value) const {
  double place = value;
  if (axis_.logarithmic) place = value > 0 ? std::log10(value) : least_;
  place = std::clamp(place, least_, largest_);
  return from_ + (place - least_) / (largest_ - least_) * (to_ - from_);
}

std::vector<std::pair<double, std::string>> SvgScale::Ticks() const {
  if (!axis_.ticks.empty()) return axis_.ticks;
  std::vector<std::pair<double, std::string>> ticks;
  if (axis_.logarithmic) {
    const double step = std::max(1.0, std::ceil((largest_ - least_) / kMostDecades));
    for (double decade = least_; decade <= largest_ + 1e-9; decade += step) {
      const double value = std::pow(10, decade);
      const bool plain = decade >= -3 && decade <= 3;
      ticks.emplace_back(value, plain ? fmt::format("{:g}", value)
                                      : fmt::format("1e{}", static_cast<int>(decade)));
    }
    return ticks;
  }
  const double step = NiceStep(largest_ - least_);
  for (double n = std::ceil(least_ / step - 1e-9); n * step <= largest_ + 1e-9 * step; n += 1) {
    ticks.emplace_back(n * step, TickText(n * step));
  }
  return ticks;
}

}  // namespace crosscheck
