#include "quality/side.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engines/generate_message.h"
#include "engines/reference_engine.h"
#include "engines/registry.h"
#include "engines/request_fields.h"
#include "reference/checkpoint.h"

namespace crosscheck::quality {
namespace {

constexpr int64_t kBlockBytes = 60 << 20;

absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(const SideOptions& options) {
  const auto name = ParseEngineName(options.engine);
  if (name.ok() && !CommandLineOf(options.engine) &&
      (name->family == "exact" || name->family == "torch")) {
    return OpenInProcess(options.engine);
  }
  HostOptions host{.engine = options.engine,
                   .deadline_seconds = options.deadline_seconds,
                   .memory_limit_bytes = options.memory_limit_bytes,
                   .repeat_one_in = 0};
  host.hello_deadline_seconds = std::max(host.hello_deadline_seconds, 120.0);
  auto client = HostClient::Start(host);
  if (!client.ok()) return client.status();
  return std::unique_ptr<Engine>(*std::move(client));
}

absl::Status StatusOf(const Failure& failure, const std::string& what) {
  std::string text = absl::StrCat(what, ": ", failure.message);
  if (!failure.stderr_tail.empty()) absl::StrAppend(&text, "\n", failure.stderr_tail);
  switch (failure.kind) {
    case FailureKind::kUnsupported:
      return absl::UnimplementedError(text);
    case FailureKind::kRefused:
      return absl::OutOfRangeError(text);
    case FailureKind::kBadRequest:
      return absl::InvalidArgumentError(text);
    case FailureKind::kOutOfMemory:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::AbortedError(text);
  }
}

// Rows of the block from the tensor, whose first row is position `first`.
absl::StatusOr<Rows> CutRows(const Tensor& tensor, int first, const Block& block, int vocab) {
  const int64_t rows = vocab == 0 ? 0 : tensor.ElementCount() / vocab;
  if (tensor.shape.size() != 2 || tensor.shape[1] != vocab || first > block.first ||
      first + rows < block.last) {
    return absl::AbortedError(absl::StrCat("the engine answered ", rows, " rows from position ",
                                           first, "; asked for ", block.first, " to ",
                                           block.last - 1));
  }
  Rows result{.first = block.first, .vocab = vocab, .f32 = {}, .f64 = {}};
  const size_t skip = static_cast<size_t>(block.first - first) * vocab;
  const size_t count = static_cast<size_t>(block.rows()) * vocab;
  if (tensor.dtype == DType::kF32) {
    const auto values = tensor.As<float>().subspan(skip, count);
    result.f32.assign(values.begin(), values.end());
    return result;
  }
  if (tensor.dtype != DType::kF64) return absl::AbortedError("logits are neither F32 nor F64");
  const auto values = tensor.As<double>().subspan(skip, count);
  result.f64.assign(values.begin(), values.end());
  result.f32.assign(values.begin(), values.end());
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Side>> Side::Open(const SideOptions& options) {
  auto engine = OpenEngine(options);
  if (!engine.ok()) return engine.status();
  std::unique_ptr<Side> side(new Side(options, *std::move(engine)));
  side->host_ = dynamic_cast<const HostClient*>(side->engine_.get());
  if (absl::Status status = side->Load(); !status.ok()) return status;
  return side;
}

pid_t Side::process() const { return host_ == nullptr ? 0 : host_->process(); }

absl::Status Side::Load() {
  auto hello = Call({{"op", "hello"}, {"protocol", {1}}, {"client", "crosscheck"}});
  if (!hello.ok()) return hello.status();
  hello_ = hello->head;
  Json head = {{"op", "load"}, {"path", options_.model}, {"options", Json::object()}};
  if (!options_.format.empty()) head["options"]["format"] = options_.format;
  if (!options_.adapter.empty()) head["options"]["adapter"] = options_.adapter;
  auto loaded = Call(std::move(head));
  if (!loaded.ok()) return loaded.status();
  const auto vocab = IntegerField(loaded->head, "vocab");
  const auto context = IntegerField(loaded->head, "context");
  if (!vocab.ok()) return vocab.status();
  if (!context.ok()) return context.status();
  if (*vocab < 1 || *vocab > (1 << 24) || *context < 1) {
    return absl::AbortedError(
        absl::StrCat(options_.engine, " says vocab ", *vocab, " and context ", *context));
  }
  const auto spec = ReadConfig(options_.model);  // none of a family that only the engine knows
  if (spec.ok() && spec->vocab != *vocab) {
    return absl::AbortedError(absl::StrCat(options_.engine, " says vocab ", *vocab,
                                           ", the config.json of ", options_.model, " ",
                                           spec->vocab));
  }
  vocab_ = static_cast<int>(*vocab);
  context_ = static_cast<int>(std::min<int64_t>(*context, 1 << 30));
  model_ = loaded->head["model"];
  paths_ = loaded->head.value("paths", Json::array());
  echo_ = loaded->head.value("echo", Json::object());
  return absl::OkStatus();
}

absl::StatusOr<Message> Side::Call(Json head, std::vector<Tensor> tensors) {
  const std::string op = head["op"];
  if (!model_.is_null() && op != "draw") head["model"] = model_;
  const auto start = std::chrono::steady_clock::now();
  Reply reply = engine_->Call({.head = std::move(head), .tensors = std::move(tensors)});
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!reply.ok()) return StatusOf(*reply.failure, absl::StrCat(options_.engine, ", ", op));
  return std::move(reply.message);
}

bool Side::HasPath(std::string_view path) const {
  return std::any_of(paths_.begin(), paths_.end(), [&](const Json& p) { return p == path; });
}

std::vector<Block> Side::Blocks(int first, int last) const {
  const auto rows =
      static_cast<int>(std::max<int64_t>(1, kBlockBytes / (static_cast<int64_t>(vocab_) * 8)));
  // One prefill answers all positions from 0, so what fits one message is one block.
  if (last <= rows) return first < last ? std::vector<Block>{{first, last}} : std::vector<Block>{};
  std::vector<Block> blocks;
  for (int at = first; at < last; at += rows) blocks.push_back({at, std::min(last, at + rows)});
  return blocks;
}

absl::StatusOr<Rows> Side::LogitRows(absl::Span<const int32_t> ids, const Block& block,
                                     Evaluation evaluation) {
  const bool one_call =
      evaluation == Evaluation::kPrefill && HasPath("readout") && Blocks(0, block.last).size() == 1;
  if (!one_call && !HasPath("session")) {
    return absl::UnimplementedError(absl::StrCat(options_.engine, " decodes no tokens one by one"));
  }
  Json sequence = {{"ids", std::vector<int32_t>(ids.begin(), ids.begin() + block.last)}};
  const int prefill = evaluation == Evaluation::kSteps ? 1 : block.first + 1;
  if (!one_call) sequence["chunks"] = {prefill};
  auto answer = Call({{"op", "logits"},
                      {"path", one_call ? "readout" : "session"},
                      {"batched", false},
                      {"sequences", Json::array({std::move(sequence)})}});
  if (!answer.ok()) return answer.status();
  const Tensor* logits = answer->Find("logits.0");
  const Json positions = answer->head.value("positions", Json());
  if (logits == nullptr || !positions.is_array() || positions.size() != 1 ||
      !positions[0].is_array() || positions[0].empty() || !positions[0][0].is_number_integer()) {
    return absl::AbortedError(absl::StrCat(options_.engine, " answered no logits"));
  }
  return CutRows(*logits, positions[0][0].get<int>(), block, vocab_);
}

absl::StatusOr<Generated> Side::Generate(absl::Span<const int32_t> ids, std::string_view text,
                                         int max_tokens, double temperature, uint64_t seed) {
  SamplingParameters parameters = kGreedy;
  parameters.temperature = temperature;
  Json head = GenerateMessage({ids.begin(), ids.end()}, max_tokens, parameters, seed).head;
  if (!text.empty()) head["text"] = text;
  auto answer = Call(std::move(head));
  if (!answer.ok()) return answer.status();
  return ReadGenerated(*answer);
}

absl::StatusOr<std::vector<int32_t>> Side::Draw(absl::Span<const float> logits, double temperature,
                                                uint64_t seed, int draws) {
  SamplingParameters parameters;
  parameters.temperature = temperature;
  std::vector<Tensor> tensors = {
      MakeTensor("logits", {static_cast<int64_t>(logits.size())}, logits)};
  auto answer = Call({{"op", "draw"},
                      {"parameters", SamplingJson(parameters)},
                      {"history", Json::array()},
                      {"seed", seed},
                      {"draws", draws}},
                     std::move(tensors));
  if (!answer.ok()) return answer.status();
  const auto tokens = IntegersField(answer->head, "tokens");
  if (!tokens.ok() || tokens->size() != static_cast<size_t>(draws)) {
    return absl::AbortedError(absl::StrCat(options_.engine, " drew other than ", draws, " tokens"));
  }
  for (const int64_t token : *tokens) {
    if (token >= 0 && token < vocab_) continue;
    return absl::AbortedError(absl::StrCat(options_.engine, " drew token ", token));
  }
  return std::vector<int32_t>(tokens->begin(), tokens->end());
}

absl::StatusOr<std::vector<Tensor>> Side::Taps(absl::Span<const int32_t> ids) {
  Json head = {{"op", "taps"}, {"ids", std::vector<int32_t>(ids.begin(), ids.end())}};
  const Json named = hello_.value("limits", Json::object()).value("taps", Json());
  if (named.is_array()) head["stages"] = named;
  auto answer = Call(std::move(head));
  if (!answer.ok()) return answer.status();
  return std::move(answer->tensors);
}

absl::StatusOr<std::vector<std::vector<int32_t>>> Side::Encode(absl::Span<const std::string> texts,
                                                               EncodeOptions options) {
  const Json extensions = hello_.value("extensions", Json::array());
  if (std::find(extensions.begin(), extensions.end(), "tokenizer/1") == extensions.end()) {
    return absl::UnimplementedError(absl::StrCat(options_.engine, " shows no tokenizer"));
  }
  if (tokenizer_.empty()) {
    auto loaded =
        Call({{"op", "load_tokenizer"}, {"path", absl::StrCat(options_.model, "/tokenizer.json")}});
    if (!loaded.ok()) return loaded.status();
    auto name = StringField(loaded->head, "tokenizer");
    if (!name.ok()) return name.status();
    tokenizer_ = *std::move(name);
  }
  auto answer = Call({{"op", "encode"},
                      {"tokenizer", tokenizer_},
                      {"texts", std::vector<std::string>(texts.begin(), texts.end())},
                      {"special", options.parse_special ? "parsed" : "plain"},
                      {"add_special_tokens", options.add_special_tokens}});
  if (!answer.ok()) return answer.status();
  const Json ids = answer->head.value("ids", Json());
  const auto is_id = [](const Json& id) { return id.is_number_unsigned() && id <= INT32_MAX; };
  const auto is_sequence = [&](const Json& sequence) {
    return sequence.is_array() && std::all_of(sequence.begin(), sequence.end(), is_id);
  };
  if (!ids.is_array() || ids.size() != texts.size() ||
      !std::all_of(ids.begin(), ids.end(), is_sequence)) {
    return absl::AbortedError(absl::StrCat(options_.engine, " answered no ids of the texts"));
  }
  return ids.get<std::vector<std::vector<int32_t>>>();
}

}  // namespace crosscheck::quality
