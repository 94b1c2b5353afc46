// The hand-written starting cases: every file is legal, canonical in spirit and different from the
// others.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "properties/subjects/model_run.h"

namespace crosscheck {
namespace {

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(SeedsTest, EveryFileHoldsALegalModelRun) {
  std::set<std::string> cases;
  std::set<std::string> labels;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("seeds")) {
    if (entry.path().extension() != ".case") continue;
    const absl::StatusOr<Case> c = ModelRunSubject().parse(ReadText(entry.path()));
    ASSERT_TRUE(c.ok()) << entry.path() << ":" << c.status().message();
    EXPECT_TRUE(Validate(c->As<ModelRunCase>().model->spec).ok()) << entry.path();
    EXPECT_TRUE(ModelRunSubject().equal(ModelRunSubject().clamp(*c, Limits{}), *c))
        << entry.path() << " is outside the default space";
    EXPECT_TRUE(cases.insert(ModelRunSubject().print(*c)).second) << entry.path();
    for (const std::string& label : ModelRunSubject().labels(*c)) labels.insert(label);
  }
  EXPECT_GE(cases.size(), 5u);
  for (const char* label :
       {"value_heads!=key_heads", "boundary_length", "crosses_chunk_64", "context_full",
        "tied_head", "steps", "multi_sequence", "storage:BF16", "style:tied_head_rows"}) {
    EXPECT_EQ(labels.count(label), 1u) << label;
  }
}

}  // namespace
}  // namespace crosscheck
