// Subject "loader": a small checkpoint, structured changes of its files, and the tokens that are
// run when it loads.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_LOADER_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_LOADER_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engines/input_files.h"
#include "properties/mutations/mutation.h"
#include "properties/subject.h"
#include "reference/weights.h"

namespace crosscheck {

struct LoaderCase {
  static constexpr std::string_view kSubjectName = "loader";
  ModelRecipe model;
  std::vector<Mutation> mutations;
  std::vector<int32_t>
      ids;  // taken modulo the vocabulary that config.json says, cut to its context
  bool operator==(const LoaderCase&) const = default;
};

const Subject& LoaderSubject();

// The files of the case; a function of the case alone.
std::shared_ptr<const InputFiles> FilesOf(const LoaderCase& c);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_LOADER_H_
