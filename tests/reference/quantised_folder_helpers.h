// Models and folders for the tests of quantised folders.
#ifndef CROSSCHECK_TESTS_REFERENCE_QUANTISED_FOLDER_HELPERS_H_
#define CROSSCHECK_TESTS_REFERENCE_QUANTISED_FOLDER_HELPERS_H_

#include <deque>
#include <filesystem>
#include <string>

#include "reference/weights.h"
#include "tests/own_folder.h"

namespace crosscheck {

// 160 and 192 are no multiples of 128; the checkpoint is stored in bf16.
inline Model SmallModel(Family family = Family::kQwen35, int hidden = 160) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.family = family;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 7;
  spec.hidden = hidden;
  spec.intermediate = 192;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 16;
  spec.rotary_dim = 4;
  spec.linear_key_dim = 3;
  if (TraitsOf(family).mixture) {
    spec.experts = 3;
    spec.experts_per_token = 2;
    spec.shared_intermediate = 64;
  }
  recipe.weights = {.seed = 3, .storage = DType::kBF16};
  return GenerateModel(recipe);
}

// A new folder, which is removed when the program ends.
inline std::string Folder() {
  static std::deque<OwnFolder> folders;
  const std::string& path = folders.emplace_back().path();
  std::filesystem::create_directory(path);
  return path;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_REFERENCE_QUANTISED_FOLDER_HELPERS_H_
