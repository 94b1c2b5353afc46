// What `crosscheck serve` answers: the shape that lm-eval's client relies on, the reference's own
// log-probabilities, and a refusal for everything that is not served.
#include "quality/completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

using testing::HasSubstr;

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";
const std::vector<int32_t> kIds = {17, 300, 5, 5, 999, 1, 42};

Json Request(const Json& prompt) {
  return {{"model", "tiny"}, {"prompt", prompt}, {"temperature", 0}, {"max_tokens", 1},
          {"logprobs", 1},   {"echo", true},     {"seed", 1234}};
}

class CompletionsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto opened = Completions::Open({.engine = "torch:fp64", .model = kModel});
    ASSERT_TRUE(opened.ok()) << opened.status();
    completions_ = opened->release();
  }
  static void TearDownTestSuite() { delete completions_; }
  static Json Answer(const Json& request) {
    const auto answer = completions_->Answer(request.dump());
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : Json();
  }
  static std::string Refusal(const std::string& body) {
    const auto answer = completions_->Answer(body);
    EXPECT_TRUE(absl::IsInvalidArgument(answer.status())) << body << answer.status();
    return std::string(answer.status().message());
  }
  static Completions* completions_;
};
Completions* CompletionsTest::completions_ = nullptr;

TEST_F(CompletionsTest, HasOneEntryForEachTokenAndOneThatIsGenerated) {
  const Json answer = Answer(Request(kIds));
  ASSERT_EQ(answer["choices"].size(), 1U);
  const Json logprobs = answer["choices"][0]["logprobs"];
  for (const char* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    EXPECT_EQ(logprobs[key].size(), kIds.size() + 1) << key;
  }
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  // The last one is the most likely token.
  EXPECT_EQ(logprobs["token_logprobs"].back(), logprobs["top_logprobs"].back().begin().value());
  EXPECT_EQ(answer["usage"]["prompt_tokens"], kIds.size());
}

TEST_F(CompletionsTest, TheNumbersAreTheReferencesTo1eMinus12) {
  auto side = Side::Open({.engine = "torch:fp64", .model = kModel});
  ASSERT_TRUE(side.ok());
  const auto rows =
      (*side)->LogitRows(kIds, {0, static_cast<int>(kIds.size())}, Evaluation::kDecode);
  ASSERT_TRUE(rows.ok()) << rows.status();
  const Json logprobs = Answer(Request(kIds))["choices"][0]["logprobs"];
  for (int i = 0; i < static_cast<int>(kIds.size()); ++i) {
    const auto row = rows->exact_row(i);
    const double max = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const double logit : row) sum += std::exp(logit - max);
    const auto at = static_cast<size_t>(i) + 1;
    const double expected = at < kIds.size()
                                ? row[static_cast<size_t>(kIds[at])] - max - std::log(sum)
                                : -std::log(sum);
    EXPECT_NEAR(logprobs["token_logprobs"][at].get<double>(), expected, 1e-12) << i;
    EXPECT_NEAR(logprobs["top_logprobs"][at].begin().value().get<double>(), -std::log(sum), 1e-12);
  }
}

// lm-eval: a token is greedy when its number equals the largest of its top_logprobs.
TEST_F(CompletionsTest, AGreedyTokenHasTheVeryNumberOfTheTopAlsoAfterSerialisation) {
  std::vector<int32_t> ids = {17, 300};
  for (int i = 0; i < 4; ++i) {  // go on greedily
    Json request = Request(ids);
    request["logprobs"] = 5;
    const std::string wire = Answer(request).dump();
    const Json logprobs = Json::parse(wire)["choices"][0]["logprobs"];
    const Json& top = logprobs["top_logprobs"].back();
    EXPECT_LE(top.size(), 5U);
    double largest = -INFINITY;
    for (const auto& entry : top.items()) largest = std::max(largest, entry.value().get<double>());
    EXPECT_EQ(logprobs["token_logprobs"].back().get<double>(), largest);
    // As part of the prompt it is greedy as well.
    auto side = Side::Open({.engine = "torch:fp64", .model = kModel});
    const int last = static_cast<int>(ids.size());
    const auto rows = (*side)->LogitRows(ids, {last - 1, last}, Evaluation::kPrefill);
    const auto row = rows->exact_row(0);
    ids.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    const Json again = Json::parse(Answer(Request(ids)).dump())["choices"][0]["logprobs"];
    const size_t at = ids.size() - 1;
    EXPECT_EQ(again["token_logprobs"][at].get<double>(),
              again["top_logprobs"][at].begin().value().get<double>());
  }
}

TEST_F(CompletionsTest, SeveralPromptsAreAnsweredAsEachAlone) {
  const std::vector<int32_t> other = {3, 1, 4};
  const Json both = Answer(Request(Json::array({kIds, other})));
  ASSERT_EQ(both["choices"].size(), 2U);
  EXPECT_EQ(both["choices"][1]["index"], 1);
  EXPECT_EQ(both["choices"][0]["logprobs"], Answer(Request(kIds))["choices"][0]["logprobs"]);
  EXPECT_EQ(both["choices"][1]["logprobs"], Answer(Request(other))["choices"][0]["logprobs"]);
}

TEST_F(CompletionsTest, WithoutEchoThereIsTheGeneratedTokenAlone) {
  Json request = Request(kIds);
  request["echo"] = false;
  const Json choice = Answer(request)["choices"][0];
  EXPECT_EQ(choice["logprobs"]["token_logprobs"].size(), 1U);
  EXPECT_TRUE(choice["logprobs"]["token_logprobs"][0].is_number());
  request.erase("logprobs");
  EXPECT_TRUE(Answer(request)["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(Answer(request)["choices"][0]["text"], choice["text"]);
}

TEST_F(CompletionsTest, ATextIsAnsweredLikeItsIds) {
  auto tokenizer = Tokenizer::Load(kModel);
  if (!tokenizer.ok()) GTEST_SKIP() << tokenizer.status();
  const std::string text = "def area(radius):";
  const auto ids = (*tokenizer)->Encode(text, kCorpusText);
  const Json of_text = Answer(Request(text))["choices"][0];
  EXPECT_EQ(of_text, Answer(Request(*ids))["choices"][0]);
  EXPECT_THAT(of_text["text"].get<std::string>(), testing::StartsWith(text));
  EXPECT_EQ(Answer(Request(Json::array({text, "x"})))["choices"].size(), 2U);
}

TEST_F(CompletionsTest, EveryOtherParameterIsRefusedByItsName) {
  const std::pair<const char*, Json> refused[] = {{"temperature", 0.7},
                                                  {"temperature", nullptr},
                                                  {"temperature", "0"},
                                                  {"max_tokens", 0},
                                                  {"max_tokens", 2},
                                                  {"max_tokens", nullptr},
                                                  {"logprobs", 0},
                                                  {"logprobs", 6},
                                                  {"logprobs", true},
                                                  {"echo", 1},
                                                  {"n", 2},
                                                  {"best_of", 3},
                                                  {"stream", true},
                                                  {"top_p", 0.9},
                                                  {"presence_penalty", 0.1},
                                                  {"frequency_penalty", -1},
                                                  {"logit_bias", {{"5", 3}}},
                                                  {"stop", "\n"},
                                                  {"suffix", "end"},
                                                  {"seed", "x"},
                                                  {"top_k", 40},
                                                  {"prompt_logprobs", 1},
                                                  {"guided_json", {{"type", "object"}}},
                                                  {"model", 7}};
  for (const auto& [name, value] : refused) {
    Json request = Request(kIds);
    request[name] = value;
    EXPECT_THAT(Refusal(request.dump()), HasSubstr("\"" + std::string(name) + "\"")) << value;
  }
  for (const char* name : {"temperature", "max_tokens", "prompt"}) {
    Json request = Request(kIds);
    request.erase(name);
    EXPECT_THAT(Refusal(request.dump()), HasSubstr("\"" + std::string(name) + "\""));
  }
  Json neutral = Request(kIds);
  neutral.update({{"n", 1},
                  {"stream", false},
                  {"top_p", 1.0},
                  {"stop", nullptr},
                  {"seed", nullptr},
                  {"logit_bias", nullptr},
                  {"suffix", nullptr},
                  {"user", "lm-eval"}});
  EXPECT_EQ(Answer(neutral), Answer(Request(kIds)));
}

TEST_F(CompletionsTest, PromptsThatAreNoneAreRefused) {
  const Json prompts[] = {nullptr,
                          Json::array(),
                          "",
                          7,
                          {1, "a"},
                          {1, 2.5},
                          {1, -1},
                          {1, 1024},
                          {1, 4294967296},
                          Json::array({Json::array()}),
                          Json::array({kIds, Json::array()}),
                          Json::array({Json::array({kIds})}),
                          {{"ids", kIds}},
                          {true},
                          std::vector<int>(100000, 1)};
  for (const Json& prompt : prompts) {
    EXPECT_THAT(Refusal(Request(prompt).dump()), HasSubstr("\"prompt\"")) << prompt.dump();
  }
  const std::vector<Json> many(1025, kIds);
  EXPECT_THAT(Refusal(Request(many).dump()), HasSubstr("1024 prompts"));
}

TEST_F(CompletionsTest, BodiesThatAreNoRequestAreRefused) {
  const std::string deep(100000, '[');
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("{\"prompt\": \"\xff\"}"), std::string("{\"prompt\": [1e999]}"), deep,
        deep + std::string(100000, ']'), std::string(1, '\0'),
        std::string(R"({"prompt": [1], "temperature": 0, "max_tokens": 1, "prompt": [2]})")}) {
    EXPECT_FALSE(Refusal(body).empty());
  }
  EXPECT_THAT(Refusal(R"({"prompt": [1], "temperature": 1, "temperature": 0, "max_tokens": 1})"),
              HasSubstr("twice"));
}

TEST(CompletionsOfOtherEnginesTest, AnEngineThatDiesIsStartedAgain) {
  auto completions = Completions::Open({.engine = "faulty:crash", .model = kModel});
  ASSERT_TRUE(completions.ok()) << completions.status();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = (*completions)->Answer(Request(kIds).dump()).status();
    EXPECT_TRUE(absl::IsAborted(status)) << status;
  }
}

TEST(CompletionsOfOtherEnginesTest, ValuesThatAreNoLogitsAreAnError) {
  auto completions = Completions::Open({.engine = "faulty:nan", .model = kModel});
  ASSERT_TRUE(completions.ok()) << completions.status();
  const absl::Status status = (*completions)->Answer(Request(kIds).dump()).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("no logits"));
}

}  // namespace
}  // namespace crosscheck::quality
