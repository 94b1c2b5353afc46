#include "quality/reference_questions.h"

#include <algorithm>
#include <cmath>

#include "quality/position_stat.h"

namespace crosscheck::quality {

absl::StatusOr<double> ReferenceQuestions::GapOf(int item, int position, int token) {
  auto continuation = dump_.Read("greedy", item, "ids");
  if (!continuation.ok()) return continuation.status();
  std::vector<int32_t> ids = inputs_.prompts[static_cast<size_t>(item)].ids;
  const auto tokens = (*continuation)->As<int32_t>();
  ids.insert(ids.end(), tokens.begin(),
             tokens.begin() + std::min<ptrdiff_t>(position, tokens.size()));
  const int last = static_cast<int>(ids.size());
  auto rows = side_.LogitRows(ids, {last - 1, last}, Evaluation::kDecode);
  if (!rows.ok()) return rows.status();
  if (token >= rows->vocab) return INFINITY;
  const absl::Span<const float> row = rows->row(0);
  return static_cast<double>(*std::max_element(row.begin(), row.end())) -
         row[static_cast<size_t>(token)];
}

absl::StatusOr<std::vector<double>> ReferenceQuestions::NllOf(
    int item, const std::vector<int32_t>& continuation) {
  std::vector<int32_t> ids = inputs_.prompts[static_cast<size_t>(item)].ids;
  const int first = static_cast<int>(ids.size()) - 1;
  ids.insert(ids.end(), continuation.begin(), continuation.end());
  std::vector<double> nll;
  for (const Block& block : side_.Blocks(first, static_cast<int>(ids.size()) - 1)) {
    auto rows = side_.LogitRows(ids, block, Evaluation::kDecode);
    if (!rows.ok()) return rows.status();
    for (int i = 0; i < rows->rows(); ++i) {
      const int32_t target = ids[static_cast<size_t>(block.first + i) + 1];
      nll.push_back(-StatOf(rows->row(i), target).target_logprob);
    }
  }
  return nll;
}

}  // namespace crosscheck::quality
