// Our safetensors reader against the crate `safetensors` on structured mutations: the same files
// are taken, with the same tensors, up to the listed differences.
//
// CROSSCHECK_LAW_CASES sets the number of files (default 5000).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engines/host_client.h"
#include "properties/mutations/container.h"
#include "properties/stream.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

int64_t Cases() {
  const char* text = std::getenv("CROSSCHECK_LAW_CASES");
  return text == nullptr ? 5000 : std::atoll(text);
}

// crosscheck-oracle beside this program or one folder up; "" when it was not built.
std::string FindOracle() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& folder : {self, self.parent_path()}) {
    if (std::filesystem::exists(folder / "crosscheck-oracle", error)) {
      return (folder / "crosscheck-oracle").string();
    }
  }
  return "";
}

// Files that the crate takes and we refuse, on purpose.
struct Difference {
  std::string_view reason;
  absl::StatusCode code;
  std::string_view message;  // part of ours
  std::string_view header;   // an example
  std::string_view data;
};
constexpr Difference kStricter[] = {
    {"a key that occurs twice: the crate takes the last, other readers the first",
     absl::StatusCode::kAlreadyExists, "twice",
     R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]}})",
     "xy"},
    {"a dtype that crosscheck has no type for", absl::StatusCode::kUnimplemented, "not supported",
     R"({"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}})", "xy"},
    {"a list in the place of an object: an accident of the crate's derived parser",
     absl::StatusCode::kDataLoss, "its header entry is not an object", R"({"a":["U8",[2],[0,2]]})",
     "xy"},
    {"an object in the place of a dtype: the same accident", absl::StatusCode::kDataLoss,
     "has no string \"dtype\"", R"({"a":{"dtype":{"U8":null},"shape":[2],"data_offsets":[0,2]}})",
     "xy"},
    {"an extent beyond 63 bits beside a zero: shapes are signed here", absl::StatusCode::kDataLoss,
     "shape holds", R"({"a":{"dtype":"U8","shape":[0,18446744073709551615],"data_offsets":[0,0]}})",
     ""},
};

const Difference* FindDifference(const absl::Status& status) {
  for (const Difference& difference : kStricter) {
    const absl::string_view part(difference.message.data(), difference.message.size());
    if (status.code() == difference.code && absl::StrContains(status.message(), part)) {
      return &difference;
    }
  }
  return nullptr;
}

std::string File(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  return file.append(header).append(data);
}

class SafetensorsOracleTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = FindOracle();
    if (path.empty()) GTEST_SKIP() << "crosscheck-oracle was not built: it needs cargo 1.93";
    auto started = HostClient::Start({.engine = "cmd:'" + path + "'", .repeat_one_in = 0});
    ASSERT_TRUE(started.ok()) << started.status();
    oracle_ = *std::move(started);
  }

  // What the crate says: {valid, tensors or reason}.
  Json Ask(const std::string& file) {
    Message request;
    request.head = {{"op", "safetensors"}};
    request.tensors = {{"file", DType::kU8, {static_cast<int64_t>(file.size())}, file}};
    const Reply reply = oracle_->Call(request);
    EXPECT_TRUE(reply.ok()) << reply.failure->message;
    return reply.ok() ? reply.message.head : Json::object();
  }

  std::unique_ptr<HostClient> oracle_;
};

std::vector<Tensor> RandomTensors(Stream& stream) {
  std::vector<Tensor> tensors(static_cast<size_t>(stream.Int(0, 4)));
  for (size_t i = 0; i < tensors.size(); ++i) {
    Tensor& tensor = tensors[i];
    tensor.name = absl::StrCat(stream.OneIn(2) ? "model.layers.0.t" : "é\n\"", i);
    tensor.dtype = static_cast<DType>(stream.Int(0, std::ssize(kDTypeNames) - 1));
    for (int64_t rank = stream.Int(0, 3); rank > 0; --rank) {
      tensor.shape.push_back(stream.OneIn(8) ? 0 : stream.Int(1, 4));
    }
    tensor.bytes.resize(static_cast<size_t>(tensor.ElementCount() * SizeOf(tensor.dtype)));
    for (char& byte : tensor.bytes) byte = static_cast<char>(stream.Int(0, 255));
  }
  return tensors;
}

Mutation RandomMutation(Stream& stream) {
  using enum MutationKind;
  constexpr MutationKind kKinds[] = {kTensor,     kTensorDType,  kTensorValue, kExtraTensor,
                                     kOrder,      kHeaderEntry,  kOffsets,     kMetadata,
                                     kHeaderText, kHeaderLength, kFileBytes};
  Mutation mutation;
  mutation.kind = kKinds[stream.Int(0, std::ssize(kKinds) - 1)];
  mutation.way = static_cast<int>(stream.Int(0, std::ssize(WaysOf(mutation.kind)) - 1));
  mutation.target = static_cast<int>(stream.Int(0, 7));
  return mutation;
}

// Characters that matter to JSON and to UTF-8, in the header.
void ChangeBytes(Stream& stream, std::string& file) {
  static constexpr char kCharacters[] =
      "\0\t \"\\{}[]:,.0123456789-+eEtfnu\x7F\x80\xC3\xED\xEF\xF4\xFF";
  constexpr std::string_view kBytes(kCharacters, sizeof(kCharacters) - 1);
  const int64_t end = std::min<int64_t>(std::ssize(file), 400);
  for (int64_t n = stream.Int(1, 3); n > 0 && end > 8; --n) {
    file[static_cast<size_t>(stream.Int(8, end - 1))] =
        kBytes[static_cast<size_t>(stream.Int(0, std::ssize(kBytes) - 1))];
  }
}

std::string RandomFile(Stream& stream) {
  std::vector<Tensor> tensors = RandomTensors(stream);
  std::vector<Mutation> mutations(static_cast<size_t>(stream.Int(0, 3)));
  for (Mutation& mutation : mutations) mutation = RandomMutation(stream);
  for (const Mutation& mutation : mutations) MutateTensors(mutation, tensors);
  Container container = ContainerOf(tensors);
  for (const Mutation& mutation : mutations) MutateHeader(mutation, container);
  std::string file = EncodeContainer(container, mutations);
  if (stream.OneIn(4)) ChangeBytes(stream, file);
  return file;
}

// Names, dtypes, shapes and sizes by name, as text.
std::map<std::string, std::string> Described(const Json& tensors) {
  std::map<std::string, std::string> described;
  for (const Json& tensor : tensors) {
    const auto begin = tensor["data_offsets"][0].get<uint64_t>();
    const auto end = tensor["data_offsets"][1].get<uint64_t>();
    described[tensor["name"].get<std::string>()] = absl::StrCat(
        tensor["dtype"].get<std::string>(), " ", tensor["shape"].dump(), " ", begin, "..", end);
  }
  return described;
}

std::map<std::string, std::string> Described(const std::vector<Tensor>& tensors) {
  std::map<std::string, std::string> described;
  size_t at = 0;
  for (const Tensor& tensor : tensors) {
    described[tensor.name] =
        absl::StrCat(std::string(kDTypeNames[static_cast<size_t>(tensor.dtype)]), " ",
                     Json(tensor.shape).dump(), " ", at, "..", at + tensor.bytes.size());
    at += tensor.bytes.size();
  }
  return described;
}

TEST_F(SafetensorsOracleTest, TakesWhatTheCrateTakes) {
  const int64_t cases = Cases();
  int64_t taken = 0;
  std::map<std::string, int64_t> stricter;
  for (int64_t i = 0; i < cases; ++i) {
    Stream stream(static_cast<uint64_t>(i), "safetensors_oracle_test");
    const std::string file = RandomFile(stream);
    const auto ours = DecodeSafetensors(file);
    const Json crate = Ask(file);
    ASSERT_TRUE(crate.contains("valid"));
    const bool valid = crate["valid"].get<bool>();
    SCOPED_TRACE(absl::StrCat("case ", i, ", header ", file.substr(0, 600)));
    if (ours.ok()) {
      ++taken;
      ASSERT_TRUE(valid) << "we take what the crate refuses: " << crate["reason"];
      ASSERT_EQ(Described(*ours), Described(crate["tensors"]));
    } else if (valid) {
      const Difference* difference = FindDifference(ours.status());
      ASSERT_NE(difference, nullptr) << "we refuse what the crate takes: " << ours.status();
      ++stricter[std::string(difference->reason)];
    } else {
      ASSERT_FALSE(ours.status().message().empty());
    }
  }
  RecordProperty("taken", static_cast<int>(taken));
  std::printf("%lld files, %lld taken\n", static_cast<long long>(cases),
              static_cast<long long>(taken));
  for (const auto& [reason, count] : stricter) {
    std::printf("  refused by us alone, %lld: %s\n", static_cast<long long>(count), reason.c_str());
  }
  EXPECT_GE(taken * 10, cases);
  // What only the crate takes is a rare corner of what is tried.
  int64_t different = 0;
  for (const auto& [reason, count] : stricter) different += count;
  EXPECT_LE(different * 5, cases);
}

TEST_F(SafetensorsOracleTest, EveryListedDifferenceIsOne) {
  for (const Difference& difference : kStricter) {
    SCOPED_TRACE(std::string(difference.reason));
    const std::string file = File(difference.header, difference.data);
    const auto ours = DecodeSafetensors(file);
    ASSERT_FALSE(ours.ok());
    EXPECT_EQ(FindDifference(ours.status()), &difference) << ours.status();
    EXPECT_EQ(Ask(file)["valid"], true) << Ask(file);
  }
}

TEST_F(SafetensorsOracleTest, LimitsAreTheCrates) {
  const auto nested = [](int levels) {
    return File(absl::StrCat(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":)",
                             Nested(levels), "}}"),
                "");
  };
  for (const int levels : {1, 124, 125, 126, 127, 128, 129, 200}) {
    EXPECT_EQ(DecodeSafetensors(nested(levels)).ok(), Ask(nested(levels))["valid"]) << levels;
  }
  const std::string nul = File(std::string_view("{}\0", 3), "");
  const std::string mark = File("\xEF\xBB\xBF{}", "");
  for (const std::string& file : {nul, mark, File("{}", ""), File(" {} ", ""), std::string()}) {
    EXPECT_EQ(DecodeSafetensors(file).ok(), Ask(file)["valid"]) << file;
  }
}

}  // namespace
}  // namespace crosscheck
