// Who may include whom: the rules of docs that CMake's target visibility cannot enforce, read from
// the sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace crosscheck {
namespace {

struct Include {
  std::string file;    // path from the repository root
  std::string header;  // as written between quotes or angle brackets
};

// Folders in the order in which they may include each other: each includes itself and those before
// it.
constexpr std::string_view kLayers[] = {"reference", "engines", "properties",
                                        "fuzz",      "quality", "cli"};

int LayerOf(std::string_view path) {
  for (size_t i = 0; i < std::size(kLayers); ++i) {
    if (path.starts_with(std::string(kLayers[i]) + "/")) return static_cast<int>(i);
  }
  return -1;
}

bool IsSource(const std::filesystem::path& path) {
  return path.extension() == ".h" || path.extension() == ".cc" || path.extension() == ".in";
}

// The header of one #include line, or "" when the line is none.
std::string HeaderOf(const std::string& line) {
  const size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return "";
  const size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string::npos || line.compare(word, 7, "include") != 0) return "";
  const size_t open = line.find_first_of("<\"", word + 7);
  if (open == std::string::npos) return "";
  const size_t close = line.find_first_of(">\"", open + 1);
  return close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

std::vector<Include> AllIncludes() {
  std::vector<Include> includes;
  for (const std::string_view layer : kLayers) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(layer)) {
      if (!entry.is_regular_file() || !IsSource(entry.path())) continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        std::string header = HeaderOf(line);
        if (!header.empty()) includes.push_back({entry.path().string(), std::move(header)});
      }
    }
  }
  return includes;
}

bool IsTorchHeader(std::string_view header) {
  for (const char* prefix : {"torch/", "ATen/", "c10/", "caffe2/"}) {
    if (header.starts_with(prefix)) return true;
  }
  return false;
}

// What is wrong with an include, or "".
std::string Violation(const Include& include) {
  const std::string_view file = include.file;
  const std::string_view header = include.header;
  const bool in_torch = file.starts_with("reference/torch/");
  if (in_torch && header.starts_with("reference/exact/")) {
    return "libtorch's model sees the exact model";
  }
  if (file.starts_with("reference/exact/") && header.starts_with("reference/torch/")) {
    return "the exact model sees libtorch's model";
  }
  if (!in_torch && IsTorchHeader(header)) return "torch outside reference/torch";
  if (header.starts_with("rapidcheck") && file != "properties/arbitrary.h") {
    return "RapidCheck outside properties/arbitrary.h";
  }
  if (file.starts_with("quality/") && header.starts_with("fuzz/")) return "quality sees fuzz";
  if (LayerOf(header) > LayerOf(file)) return "a later layer in an earlier one";
  return "";
}

TEST(IncludesTest, NoFileBreaksTheLayering) {
  const std::vector<Include> includes = AllIncludes();
  ASSERT_GT(includes.size(), 200U) << "run from the repository root";
  for (const Include& include : includes) {
    EXPECT_EQ(Violation(include), "") << include.file << " includes " << include.header;
  }
}

TEST(IncludesTest, TheScanSeesTorchAndExactFiles) {
  const std::vector<Include> includes = AllIncludes();
  const auto count = [&](auto wanted) {
    return std::count_if(includes.begin(), includes.end(), wanted);
  };
  EXPECT_GT(count([](const Include& i) {
              return i.file.starts_with("reference/torch/") && IsTorchHeader(i.header);
            }),
            0);
  EXPECT_GT(count([](const Include& i) { return i.file.starts_with("reference/exact/blocks/"); }),
            0);
}

TEST(IncludesTest, EveryRuleCanFail) {
  EXPECT_NE(Violation({"reference/torch/families/a.cc", "reference/exact/norm.h"}), "");
  EXPECT_NE(Violation({"reference/exact/a.cc", "reference/torch/factory.h"}), "");
  EXPECT_NE(Violation({"reference/metrics.cc", "ATen/ATen.h"}), "");
  EXPECT_NE(Violation({"engines/engine.cc", "torch/torch.h"}), "");
  EXPECT_NE(Violation({"properties/stream.cc", "rapidcheck.h"}), "");
  EXPECT_NE(Violation({"fuzz/minimise.cc", "rapidcheck/gtest.h"}), "");
  EXPECT_NE(Violation({"fuzz/minimise.cc", "quality/position_stat.h"}), "");
  EXPECT_NE(Violation({"quality/position_stat.cc", "fuzz/minimise.h"}), "");
  EXPECT_NE(Violation({"engines/engine.h", "properties/verdict.h"}), "");
  EXPECT_NE(Violation({"reference/weights.h", "engines/message.h"}), "");
  EXPECT_EQ(Violation({"reference/torch/model.cc", "torch/torch.h"}), "");
  EXPECT_EQ(Violation({"properties/arbitrary.h", "rapidcheck.h"}), "");
  EXPECT_EQ(Violation({"fuzz/executor.h", "engines/engine.h"}), "");
}

TEST(IncludesTest, ReadsEverySpellingOfAnInclude) {
  EXPECT_EQ(HeaderOf("#include <torch/torch.h>"), "torch/torch.h");
  EXPECT_EQ(HeaderOf("  #  include \"reference/exact/norm.h\"  // why"), "reference/exact/norm.h");
  EXPECT_EQ(HeaderOf("// #include <torch/torch.h>"), "");
  EXPECT_EQ(HeaderOf("#define X"), "");
}

}  // namespace
}  // namespace crosscheck
