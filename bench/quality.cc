// How fast two rows of logits are compared: KL, top-k and argmax as a share of the plain read
// bandwidth of the same run (quality.md 8; target: 40 %).
//
// usage: quality_throughput [K]      (top-k of 100 by default; one thread)
//
// The rows lie in a buffer of more than four times the last-level cache, so that both read memory.
// Shares of one run, in CPU time: a noisy machine moves both numbers together.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "fmt/format.h"
#include "properties/stream.h"
#include "quality/metrics/divergence.h"
#include "quality/metrics/fast_divergence.h"

namespace crosscheck::quality {
namespace {

constexpr size_t kVocabulary = 248320;
constexpr std::string_view kSetNames[] = {"baseline", "AVX2", "AVX-512"};

// CPU time of this thread: a busy machine stretches wall time of both measurements by whatever
// else runs in each.
double Now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Reads everything once, nothing else.
double ReadSeconds(const std::vector<float>& buffer, uint64_t& checksum) {
  const double start = Now();
  const auto* words = reinterpret_cast<const uint32_t*>(buffer.data());
  uint32_t sum = 0;
  for (size_t i = 0; i < buffer.size(); ++i) sum ^= words[i];
  checksum += sum;
  return Now() - start;
}

absl::Span<const float> Row(const std::vector<float>& buffer, size_t row) {
  return absl::MakeConstSpan(buffer).subspan(row * kVocabulary, kVocabulary);
}

// Pairs of rows: a peaked law, and the same with noise of which `far` more than 1.
void Fill(std::vector<float>& buffer, float error) {
  Stream stream(1, "bench");
  const size_t rows = buffer.size() / kVocabulary;
  std::vector<float> table(4096);  // drawing every logit would take longer than the measurement
  for (float& value : table) {
    for (int i = 0; i < 12; ++i) value += static_cast<float>(stream.Next() >> 40) * 0x1p-24f;
    value -= 6;
  }
  for (size_t pair = 0; pair + 1 < rows; pair += 2) {
    float* p = buffer.data() + pair * kVocabulary;
    float* q = p + kVocabulary;
    uint64_t state = stream.Next();
    for (size_t i = 0; i < kVocabulary; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      p[i] = 3 * table[state >> 52] + 1e-3f * static_cast<float>(state >> 20 & 1023);
      q[i] = p[i] + error * table[state >> 40 & 4095];
    }
  }
}

double CompareSeconds(const std::vector<float>& buffer, int k, InstructionSet set, bool details,
                      double& sum) {
  FastDivergence compare(k, set);
  const double start = Now();
  for (size_t row = 0; (row + 2) * kVocabulary <= buffer.size(); row += 2) {
    sum += compare(Row(buffer, row), Row(buffer, row + 1)).kl;
    if (details) sum += compare.Details(Row(buffer, row), Row(buffer, row + 1)).total_variation;
  }
  return Now() - start;
}

size_t BufferFloats() {
  const int64_t cache = std::max<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 1 << 20);
  const size_t pair = 2 * kVocabulary * sizeof(float);
  return (4 * static_cast<size_t>(cache) / pair + 1) * 2 * kVocabulary;
}

void Print(int k) {
  std::vector<float> buffer(BufferFloats());
  const size_t count = buffer.size() / (2 * kVocabulary);
  const auto pairs = static_cast<double>(count);
  const double bytes = static_cast<double>(buffer.size() * sizeof(float));
  uint64_t checksum = 0;
  double kl = 0;
  for (const float error : {0.03f, 1.0f}) {
    Fill(buffer, error);
    for (int s = 0; s <= static_cast<int>(BestInstructionSet()); ++s) {
      double read = HUGE_VAL, compare = HUGE_VAL;
      for (int repeat = 0; repeat < 3; ++repeat) {
        read = std::min(read, ReadSeconds(buffer, checksum));
        compare =
            std::min(compare, CompareSeconds(buffer, k, static_cast<InstructionSet>(s), false, kl));
      }
      std::cout << fmt::format(
          "KL + top-{} + argmax, noise {:4g}, {:8}: {:6.1f} us per position, {:5.2f} GB/s, {:3.0f} "
          "% "
          "of the plain read of {:.2f} GB/s\n",
          k, error, kSetNames[s], 1e6 * compare / pairs, bytes / compare / 1e9,
          100 * read / compare, bytes / read / 1e9);
    }
  }
  std::cout << fmt::format("with details: {:.1f} us per position\n",
                           1e6 * CompareSeconds(buffer, k, BestInstructionSet(), true, kl) / pairs);
  const double start = Now();
  kl += DivergenceOf(Row(buffer, 0), Row(buffer, 1)).kl;
  std::cout << fmt::format("exact form in fp64: {:.0f} us per position (checksum {:.6g})\n",
                           1e6 * (Now() - start), kl + static_cast<double>(checksum % 7));
}

}  // namespace
}  // namespace crosscheck::quality

int main(int argc, char** argv) { crosscheck::quality::Print(argc > 1 ? std::atoi(argv[1]) : 100); }
