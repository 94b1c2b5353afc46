// The bytes of a case never change, because fuzzing corpora hold them: a new field is visited after
// all others, and its index 0 (missing bytes are zero) is the previous behaviour. Such a field
// appends to the goldens below; anything else that changes them is an error.
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "properties/subjects/generation.h"
#include "properties/subjects/model_run.h"
#include "properties/subjects/session.h"
#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

void ExpectBytes(const Subject& subject, std::string_view text, const std::string& golden) {
  const absl::StatusOr<Case> c = subject.parse(text);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(absl::BytesToHexString(subject.write(*c)), golden);
  const std::string bytes = absl::HexStringToBytes(golden);
  const Case read = subject.read(
      Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), kWidestLimits);
  EXPECT_EQ(subject.print(read), subject.print(*c));
}

TEST(CaseBytesGoldenTest, ModelRun) {
  ExpectBytes(
      ModelRunSubject(),
      "model.layers = linear full\nmodel.vocab = 300\nmodel.hidden = 20\nmodel.intermediate = 33\n"
      "model.kv_heads = 2\nmodel.heads = 6\nmodel.head_dim = 10\nmodel.rotary_dim = 4\n"
      "model.linear_key_heads = 1\nmodel.linear_value_heads = 3\nmodel.linear_key_dim = 5\n"
      "model.linear_value_dim = 7\nmodel.conv_kernel = 4\nmodel.tied = true\nmodel.rms_eps = "
      "1e-05\n"
      "model.rope_theta = 1e+06\nmodel.max_positions = 64\nmodel.eos = 297\n"
      "model.weights.seed = 81985529216486895\nmodel.weights.style = tiny\nmodel.weights.storage = "
      "F16\n"
      "path = session\nsequences.0.ids = 1 299 0 7\nsequences.0.chunks = 2 "
      "1\nsequences.0.left_padding = 3\n"
      "sequences.0.generate = 5\nsequences.1.ids = 9\n",
      "000100010100ff0000012a13200102080100020406030101023f020123456789abcdef0502020101"
      "0101ff0000012b010001070001020101000305010109000100000000000000000000000000000000"
      "00000000000000000000000000");
}

TEST(CaseBytesGoldenTest, SimplestModelRun) {
  ExpectBytes(ModelRunSubject(), "",
              "00010000000000000000000000000000000000000000000000000000000000000101000001000000"
              "0000000000000000000000000000000000000000000000000000");
}

TEST(CaseBytesGoldenTest, RelationOfAModelRun) {
  ExpectBytes(ModelRunSubject(),
              "model.vocab = 300\nmodel.max_positions = 64\nsequences.0.ids = 1 2 3 4 5\n"
              "relation.edit_from_end = 3\nrelation.edit_shift = 298\nrelation.split = 4\n"
              "relation.sampled = true\nrelation.seed = 81985529216486895\n"
              "vocabulary.permutation = 18364758544493064720\n",
              "00010000ff0000012a00000000000000000000000000003f00000000000000000000000001010101"
              "02010301040105000100000000000000000003ff0000012a04010123456789abcdeffedcba987654"
              "3210");
}

TEST(CaseBytesGoldenTest, Session) {
  ExpectBytes(SessionSubject(),
              "model.vocab = 5\nmodel.max_positions = 9\nconduct = anything\nsequences = 2\n"
              "steps.0.ids = 1 4\nsteps.0.max_tokens = 3\nsteps.1.call = prefill\n"
              "steps.2.sequence = 1\nsteps.2.call = decode\nsteps.2.id = 2\n"
              "steps.2.fault = huge\nsteps.2.prediction = other\n",
              "000100000300000000000000000000000000000800000000000000000000000301010000010101040003"
              "000000010000010000000000000101030100000002040200");
}

TEST(CaseBytesGoldenTest, Generation) {
  ExpectBytes(GenerationSubject(),
              "model.vocab = 5\nmodel.max_positions = 9\nids = 1 4\nmax_tokens = 3\nstop = 5 0\n"
              "log_probs = true\nstream = true\nsampled = true\ntemperature = 2\ntop_k = 3\n"
              "top_p = 0.5\nseed = 258\nstop_string = true\n",
              "000100000300000000000000000000000000000800000000000000000000000101010400030105010000"
              "010101020302000000000000010201");
}

TEST(CaseBytesGoldenTest, Toy) {
  ExpectBytes(ToySubject(),
              "tensor.height = 1\ntensor.width = 2\ntensor.values = 4 9\nrows.0 = 1 -3\nrows.1 "
              "=\nswarm = 2\n"
              "program.0.kind = fork\nprogram.0.row = 1\nprogram.0.count = 300\ntemperature = "
              "1e+30\nseed = 255\n",
              "0001010401090001010401000001000002010101ff0000012b000500000000000000ff");
}

}  // namespace
}  // namespace crosscheck
