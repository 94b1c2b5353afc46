#include "cli/reports/campaign_memory.h"

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "fuzz/campaign/resources.h"

namespace crosscheck {
namespace {

constexpr double kMegabyte = 1e6;
constexpr double kLongEnough = 120;  // seconds
constexpr size_t kFewestSamples = 4;

// A run has ended when its last sample is written, so that one has the memory of the one before.
std::vector<const SampleRow*> SecondHalf(const CampaignData& data, int64_t run) {
  std::vector<const SampleRow*> samples;
  for (const SampleRow& sample : data.samples) {
    if (sample.run == run && sample.rss_bytes > 0) samples.push_back(&sample);
  }
  samples.erase(samples.begin(), samples.begin() + static_cast<ptrdiff_t>(samples.size() / 2));
  if (samples.size() < kFewestSamples) samples.clear();
  return samples;
}

double PerHour(const std::vector<const SampleRow*>& samples,
               const std::function<int64_t(const SampleRow&)>& bytes) {
  if (samples.empty()) return std::nan("");
  std::vector<std::pair<double, double>> points;
  points.reserve(samples.size());
  for (const SampleRow* sample : samples) {
    points.emplace_back(sample->elapsed / 3600, static_cast<double>(bytes(*sample)));
  }
  return Slope(points);
}

double Finite(double value) { return std::isfinite(value) ? value : 0; }

}  // namespace

MemoryGrowth MemoryGrowthOf(const CampaignData& data, int64_t run) {
  const std::vector<const SampleRow*> samples = SecondHalf(data, run);
  return {.all = PerHour(samples, [](const SampleRow& s) { return s.rss_bytes; }),
          .supervisor = PerHour(samples, [](const SampleRow& s) { return s.supervisor_bytes; }),
          .workers = PerHour(samples, [](const SampleRow& s) { return s.worker_bytes; }),
          .engines = PerHour(samples, [](const SampleRow& s) { return s.engine_bytes(); })};
}

std::string MemoryLine(const CampaignData& data) {
  if (data.runs.empty() || data.samples.empty()) return "";
  const RunRow& run = data.runs.back();
  const MemoryGrowth growth = MemoryGrowthOf(data, run.id);
  if (run.seconds < kLongEnough || !std::isfinite(growth.all)) return "";
  const SampleRow& last = data.samples.back();
  const auto megabytes = [](int64_t bytes) { return static_cast<double>(bytes) / kMegabyte; };
  return fmt::format(
      "memory: {:.0f} MB at the end (supervisor {:.0f}, workers {:.0f}, engines {:.0f}); over the "
      "second half of this run of {:.0f} s {:+.1f} MB per hour (supervisor {:+.1f}, workers "
      "{:+.1f}, engines {:+.1f})\n",
      megabytes(last.rss_bytes), megabytes(last.supervisor_bytes), megabytes(last.worker_bytes),
      megabytes(last.engine_bytes()), run.seconds, growth.all / kMegabyte,
      growth.supervisor / kMegabyte, growth.workers / kMegabyte, growth.engines / kMegabyte);
}

nlohmann::json MemoryJson(const CampaignData& data) {
  const MemoryGrowth growth =
      data.runs.empty() ? MemoryGrowth{} : MemoryGrowthOf(data, data.runs.back().id);
  return {{"all", Finite(growth.all) / kMegabyte},
          {"supervisor", Finite(growth.supervisor) / kMegabyte},
          {"workers", Finite(growth.workers) / kMegabyte},
          {"engines", Finite(growth.engines) / kMegabyte}};
}

}  // namespace crosscheck
