#include "quality/recorder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/stage_errors.h"
#include "properties/judges/stage_names.h"
#include "quality/layers.h"
#include "quality/metrics/top_k.h"
#include "quality/position_stat.h"
#include "quality/stop_text.h"

namespace crosscheck::quality {
namespace {

constexpr int kItemsPerShard = 32;

Tensor Matrix(std::string name, int columns, const std::vector<double>& values) {
  return MakeTensor(std::move(name), {static_cast<int64_t>(values.size()) / columns, columns},
                    absl::MakeConstSpan(values));
}

Tensor Ids(std::string name, const std::vector<int32_t>& ids) {
  return MakeTensor(std::move(name), {static_cast<int64_t>(ids.size())}, absl::MakeConstSpan(ids));
}

// The largest logits of each position and a sample of the rest; -1 where there are fewer.
class TopKColumns {
 public:
  TopKColumns(int top, int tail) : top_(top), tail_(tail) {}

  void Add(absl::Span<const float> row, const Stream& stream) {
    const TopKSelection selection = SelectTopK(row, top_, tail_, stream);
    Append(selection.top, top_, row, top_ids_, top_logits_);
    Append(selection.tail, tail_, row, tail_ids_, tail_logits_);
    ++rows_;
  }

  void AppendTo(const std::string& track, int index, std::vector<Tensor>& tensors) const {
    tensors.push_back(MakeTensor(TensorName(track, index, "top_ids"), {rows_, top_},
                                 absl::MakeConstSpan(top_ids_)));
    tensors.push_back(MakeTensor(TensorName(track, index, "top_logits"), {rows_, top_},
                                 absl::MakeConstSpan(top_logits_)));
    tensors.push_back(MakeTensor(TensorName(track, index, "tail_ids"), {rows_, tail_},
                                 absl::MakeConstSpan(tail_ids_)));
    tensors.push_back(MakeTensor(TensorName(track, index, "tail_logits"), {rows_, tail_},
                                 absl::MakeConstSpan(tail_logits_)));
  }

 private:
  static void Append(const std::vector<int32_t>& chosen, int width, absl::Span<const float> row,
                     std::vector<int32_t>& ids, std::vector<float>& logits) {
    for (int i = 0; i < width; ++i) {
      const bool there = i < static_cast<int>(chosen.size());
      ids.push_back(there ? chosen[static_cast<size_t>(i)] : -1);
      logits.push_back(there ? row[static_cast<size_t>(ids.back())] : 0);
    }
  }

  int top_, tail_;
  int64_t rows_ = 0;
  std::vector<int32_t> top_ids_, tail_ids_;
  std::vector<float> top_logits_, tail_logits_;
};

}  // namespace

int64_t BytesPerPosition(LogitMode mode, const RecordOptions& options, int vocab) {
  const int64_t numbers = 8 * (kStatColumns + kMetricColumns);
  const int64_t full = static_cast<int64_t>(vocab) * 4;
  switch (mode) {
    case LogitMode::kFull:
      return numbers + full;
    case LogitMode::kTopK:
      return numbers + int64_t{8} * std::min(vocab, options.top_k + options.tail_samples);
    case LogitMode::kScalars:
      return numbers;
  }
  return numbers;
}

absl::StatusOr<Track> ForcedTrack(DumpReader& dump, absl::Span<const Prompt> prompts,
                                  int positions) {
  Track forced{.name = "forced", .evaluation = Evaluation::kDecode, .items = {}};
  for (size_t i = 0; i < prompts.size(); ++i) {
    auto ids = dump.Read("greedy", static_cast<int>(i), "ids");
    if (!ids.ok()) return ids.status();
    const auto continuation = (*ids)->As<int32_t>();
    forced.items.push_back(
        ForcedItem(prompts[i].ids, {continuation.begin(), continuation.end()}, positions));
  }
  return forced;
}

Recorder::Recorder(Side& side, DumpWriter& writer, ReferenceRows* reference, RecordOptions options)
    : side_(side), writer_(writer), reference_(reference), options_(std::move(options)) {}

std::vector<Shard> Recorder::Shards(const std::string& track, int items, int64_t largest_item_bytes,
                                    int first) const {
  const auto per_shard = static_cast<int>(std::clamp<int64_t>(
      kShardBytes / std::max<int64_t>(largest_item_bytes, 1), 1, kItemsPerShard));
  std::vector<Shard> shards;
  for (; first < items; first += per_shard) {
    shards.push_back({track, first, std::min(items, first + per_shard)});
  }
  return shards;
}

absl::Status Recorder::ForEachItem(
    const std::vector<Shard>& shards,
    const std::function<absl::Status(int, std::vector<Tensor>&)>& record) {
  for (const Shard& shard : shards) {
    if (writer_.Done(shard)) continue;
    std::vector<Tensor> tensors;
    for (int item = shard.first; item < shard.last; ++item) {
      if (options_.interrupted != nullptr && *options_.interrupted) {
        return absl::CancelledError(
            "interrupted; what was finished is kept, the same command goes on");
      }
      if (absl::Status status = record(item, tensors); !status.ok()) return status;
    }
    const Timed timed(Share(shard.track), Work::kDump);
    if (absl::Status status = writer_.Write(shard, tensors); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Recorder::Logits(const Track& track) {
  int largest = 0;
  for (const Item& item : track.items) largest = std::max(largest, item.scored.rows());
  const int64_t bytes = largest * BytesPerPosition(options_.mode, options_, side_.vocab());
  done_ = 0;
  total_ = track.positions();
  return ForEachItem(
      Shards(track.name, static_cast<int>(track.items.size()), bytes),
      [&](int item, std::vector<Tensor>& tensors) { return RecordItem(track, item, tensors); });
}

absl::StatusOr<Rows> Recorder::AskRows(const Track& track, const Item& item, const Block& block) {
  TimeShare& share = Share(track.name);
  share.positions += block.rows();
  const Timed timed(share, Work::kEngine);
  return side_.LogitRows(item.ids, block, track.evaluation);
}

void Recorder::AppendStats(const Track& track, const Item& item, const Rows& rows,
                           std::vector<double>& stats) {
  const Timed timed(Share(track.name), Work::kStatistics);
  for (int i = 0; i < rows.rows(); ++i) {
    const int32_t target = item.targets[static_cast<size_t>(rows.first + i) - item.scored.first];
    Append(rows.f64.empty() ? StatOf(rows.row(i), target) : StatOf(rows.exact_row(i), target),
           stats);
  }
}

absl::Status Recorder::RecordItem(const Track& track, int index, std::vector<Tensor>& tensors) {
  const Item& item = track.items[static_cast<size_t>(index)];
  std::vector<double> stats, metrics;
  std::vector<float> logits;
  TopKColumns top_k(std::min(options_.top_k, side_.vocab()), options_.tail_samples);
  if (options_.mode == LogitMode::kFull) {
    logits.reserve(static_cast<size_t>(item.scored.rows()) * static_cast<size_t>(side_.vocab()));
  }
  const Stream draws = Stream(options_.seed, "dump tail").Fork(TensorName(track.name, index, ""));
  for (const Block& block : side_.Blocks(item.scored.first, item.scored.last)) {
    auto rows = AskRows(track, item, block);
    if (!rows.ok()) return rows.status();
    AppendStats(track, item, *rows, stats);
    if (options_.mode == LogitMode::kFull) {
      logits.insert(logits.end(), rows->f32.begin(), rows->f32.end());
    }
    for (int i = 0; options_.mode == LogitMode::kTopK && i < rows->rows(); ++i) {
      top_k.Add(rows->row(i), draws.Fork(absl::StrCat(rows->first + i)));
    }
    if (reference_ != nullptr) {
      auto compared = reference_->Compare(track, index, *rows, Share(track.name));
      if (!compared.ok()) return compared.status();
      for (const PositionMetrics& position : *compared) Append(position, metrics);
    }
    done_ += block.rows();
    if (options_.progress) options_.progress(track.name, done_, total_);
  }
  tensors.push_back(Ids(TensorName(track.name, index, "ids"), item.ids));
  tensors.push_back(Ids(TensorName(track.name, index, "targets"), item.targets));
  tensors.push_back(Matrix(TensorName(track.name, index, "stat"), kStatColumns, stats));
  if (reference_ != nullptr) {
    tensors.push_back(Matrix(TensorName(track.name, index, "metrics"), kMetricColumns, metrics));
  }
  if (options_.mode == LogitMode::kFull) {
    tensors.push_back(MakeTensor(TensorName(track.name, index, "logits"),
                                 {item.scored.rows(), side_.vocab()}, absl::MakeConstSpan(logits)));
  }
  if (options_.mode == LogitMode::kTopK) top_k.AppendTo(track.name, index, tensors);
  return absl::OkStatus();
}

absl::StatusOr<Generated> Recorder::Generate(const std::string& track, const Prompt& prompt,
                                             int max_tokens, double temperature, uint64_t seed) {
  TimeShare& share = Share(track);
  const Timed timed(share, Work::kEngine);
  auto generated = side_.Generate(prompt.ids, prompt.text, max_tokens, temperature, seed);
  if (generated.ok()) share.positions += static_cast<int64_t>(generated->ids.size());
  return generated;
}

absl::Status Recorder::Greedy(const std::vector<Prompt>& prompts, int first, int last,
                              int max_tokens) {
  done_ = first;
  total_ = last;
  return ForEachItem(Shards("greedy", last, 1, first), [&](int item, std::vector<Tensor>& tensors) {
    const Prompt& prompt = prompts[static_cast<size_t>(item)];
    const int most = prompt.max_tokens > 0 ? std::min(prompt.max_tokens, max_tokens) : max_tokens;
    auto generated = Generate("greedy", prompt, most, 0, 0);
    if (!generated.ok()) return generated.status();
    absl::Status cut = EndAtStopText(options_.decoder, prompt.stop, *generated);
    if (!cut.ok()) return cut;
    tensors.push_back(Ids(TensorName("greedy", item, "prompt"), prompt.ids));
    tensors.push_back(Ids(TensorName("greedy", item, "ids"), generated->ids));
    tensors.push_back(Ids(TensorName("greedy", item, "ended"), {EndCode(generated->stop)}));
    if (options_.progress) options_.progress("greedy", ++done_, total_);
    return absl::OkStatus();
  });
}

absl::Status Recorder::Sampled(const std::vector<Prompt>& prompts, int seeds, int max_tokens,
                               double temperature) {
  done_ = 0;
  total_ = static_cast<int64_t>(prompts.size());
  return ForEachItem(
      Shards("sampled", static_cast<int>(prompts.size()), 1),
      [&](int item, std::vector<Tensor>& tensors) {
        const Prompt& prompt = prompts[static_cast<size_t>(item)];
        std::vector<int32_t> ids;
        for (int seed = 0; seed < seeds; ++seed) {
          auto generated = Generate("sampled", prompt, max_tokens, temperature,
                                    options_.seed + static_cast<uint64_t>(seed));
          if (!generated.ok()) return generated.status();
          generated->ids.resize(static_cast<size_t>(max_tokens), -1);  // -1: ended before
          ids.insert(ids.end(), generated->ids.begin(), generated->ids.end());
        }
        // The law of the first draw, where the engine shows it.
        const int last = static_cast<int>(prompt.ids.size());
        auto rows = side_.LogitRows(prompt.ids, {last - 1, last}, Evaluation::kDecode);
        if (!rows.ok() && !absl::IsUnimplemented(rows.status())) return rows.status();
        if (rows.ok()) {
          tensors.push_back(MakeTensor(TensorName("sampled", item, "logits"), {side_.vocab()},
                                       absl::MakeConstSpan(rows->f32)));
        }
        tensors.push_back(MakeTensor(TensorName("sampled", item, "ids"), {seeds, max_tokens},
                                     absl::MakeConstSpan(ids)));
        if (options_.progress) options_.progress("sampled", ++done_, total_);
        return absl::OkStatus();
      });
}

absl::Status Recorder::Draws(const std::vector<std::vector<int32_t>>& contexts, int draws,
                             double temperature) {
  done_ = 0;
  total_ = static_cast<int64_t>(contexts.size());
  return ForEachItem(
      Shards("draws", static_cast<int>(contexts.size()), int64_t{4} * (draws + side_.vocab())),
      [&](int item, std::vector<Tensor>& tensors) {
        const std::vector<int32_t>& ids = contexts[static_cast<size_t>(item)];
        const int last = static_cast<int>(ids.size());
        auto rows = side_.LogitRows(ids, {last - 1, last}, Evaluation::kDecode);
        if (!rows.ok()) return rows.status();
        auto tokens = side_.Draw(rows->f32, temperature,
                                 MixBits(options_.seed + static_cast<uint64_t>(item)), draws);
        if (!tokens.ok()) return tokens.status();
        tensors.push_back(Ids(TensorName("draws", item, "ids"), ids));
        tensors.push_back(MakeTensor(TensorName("draws", item, "logits"), {side_.vocab()},
                                     absl::MakeConstSpan(rows->f32)));
        tensors.push_back(Ids(TensorName("draws", item, "tokens"), *tokens));
        if (options_.progress) options_.progress("draws", ++done_, total_);
        return absl::OkStatus();
      });
}

absl::Status Recorder::Layers(const Track& forced, int items, const ModelSpec& spec) {
  done_ = 0;
  total_ = std::min<int64_t>(items, static_cast<int64_t>(forced.items.size()));
  return ForEachItem(Shards("layers", static_cast<int>(total_), kShardBytes),
                     [&](int item, std::vector<Tensor>& tensors) {
                       return RecordLayers(
                           item, LayerIds(forced.items[static_cast<size_t>(item)].ids, spec),
                           tensors);
                     });
}

absl::Status Recorder::RecordLayers(int item, const std::vector<int32_t>& ids,
                                    std::vector<Tensor>& tensors) {
  TimeShare& share = Share("layers");
  share.positions += static_cast<int64_t>(ids.size());
  auto taps = [&] {
    const Timed timed(share, Work::kEngine);
    return side_.Taps(ids);
  }();
  if (!taps.ok()) return taps.status();
  for (Tensor& tap : *taps) {
    if (tap.name == kLogits) {
      if (absl::Status status = CheckTappedLogits(tap, ids); !status.ok()) return status;
    }
    if (!IsStage(ParseTapName(tap.name).second)) continue;
    tap.name = TensorName("layers", item, tap.name);
    tensors.push_back(std::move(tap));
  }
  if (options_.progress) options_.progress("layers", ++done_, total_);
  return absl::OkStatus();
}

// An engine may tap by means that replace something else, an adapter for example.
absl::Status Recorder::CheckTappedLogits(const Tensor& tap, const std::vector<int32_t>& ids) {
  constexpr double kRounding = 1e-3;  // of the largest logit: paths differ by far less
  const auto tapped = tap.ToDoubles();
  if (!tapped.ok()) return tapped.status();
  const int last = static_cast<int>(ids.size());
  auto rows = side_.LogitRows(ids, {last - 1, last}, Evaluation::kDecode);
  if (!rows.ok()) return rows.status();
  const size_t vocab = rows->f32.size();
  if (tapped->size() < vocab) return absl::AbortedError("the engine taps fewer logits than it has");
  const size_t from_end = tapped->size() - vocab;  // the last row
  double largest = 0, difference = 0;
  for (size_t i = 0; i < vocab; ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(rows->f32[i])));
    difference = std::max(difference, std::abs((*tapped)[i + from_end] - rows->f32[i]));
  }
  if (difference <= kRounding * largest) return absl::OkStatus();
  return absl::UnimplementedError(
      "the engine answers other logits when it shows its layers, so they are not those that it "
      "computes with");
}

}  // namespace crosscheck::quality
