#include "properties/judges/failure.h"

#include <gtest/gtest.h>

namespace crosscheck {
namespace {

struct Expected {
  FailureKind failure;
  VerdictKind engine;
  ErrorClass error;
  VerdictKind reference;
};

TEST(FailureTest, EveryKindOfFailureHasItsVerdict) {
  const Expected table[] = {
      {FailureKind::kBadRequest, VerdictKind::kSetupError, ErrorClass::kNone,
       VerdictKind::kSetupError},
      {FailureKind::kUnsupported, VerdictKind::kUnsupported, ErrorClass::kNone,
       VerdictKind::kSetupError},
      {FailureKind::kRefused, VerdictKind::kEngineBug, ErrorClass::kRejection,
       VerdictKind::kReferenceDrift},
      {FailureKind::kOutOfMemory, VerdictKind::kCrash, ErrorClass::kMemory,
       VerdictKind::kSetupError},
      {FailureKind::kInternal, VerdictKind::kCrash, ErrorClass::kPanic,
       VerdictKind::kReferenceDrift},
      {FailureKind::kDead, VerdictKind::kCrash, ErrorClass::kCrash, VerdictKind::kReferenceDrift},
      {FailureKind::kSlow, VerdictKind::kTimeout, ErrorClass::kTimeout, VerdictKind::kSetupError},
      {FailureKind::kProtocol, VerdictKind::kEngineBug, ErrorClass::kProtocol,
       VerdictKind::kSetupError},
  };
  for (const Expected& expected : table) {
    Failure failure{expected.failure, "what happened", "SomeError", "last line"};
    Verdict engine = EngineFailure(failure, "prompt");
    EXPECT_EQ(engine.kind, expected.engine) << static_cast<int>(expected.failure);
    EXPECT_EQ(engine.signature.error, expected.error) << static_cast<int>(expected.failure);
    EXPECT_EQ(engine.signature.stage, "prompt");
    for (const char* part : {"what happened", "SomeError", "last line"}) {
      EXPECT_NE(engine.message.find(part), std::string::npos) << engine.message;
    }
    Verdict reference = ReferenceFailure(failure, "torch:fp32", "prompt");
    EXPECT_EQ(reference.kind, expected.reference) << static_cast<int>(expected.failure);
    EXPECT_NE(reference.message.find("torch:fp32"), std::string::npos);
  }
}

TEST(FailureTest, ALieIsABugOfTheEngine) {
  Verdict verdict = ProtocolLie("session", "logits.0 is missing");
  EXPECT_TRUE(verdict.IsFinding());
  EXPECT_EQ(verdict.signature.error, ErrorClass::kProtocol);
}

}  // namespace
}  // namespace crosscheck
