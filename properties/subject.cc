#include "properties/subject.h"

#include <cstdio>
#include <cstdlib>

#include "properties/subjects/generation.h"
#include "properties/subjects/loader.h"
#include "properties/subjects/lora.h"
#include "properties/subjects/model_run.h"
#include "properties/subjects/sampler.h"
#include "properties/subjects/session.h"
#include "properties/subjects/weight_format.h"

namespace crosscheck {
namespace {

std::vector<const Subject*>& MutableSubjects() {
  static std::vector<const Subject*> subjects = {
      &ModelRunSubject(), &SessionSubject(),      &GenerationSubject(), &SamplerSubject(),
      &LoaderSubject(),   &WeightFormatSubject(), &LoraSubject()};
  return subjects;
}

}  // namespace

const std::vector<const Subject*>& Subjects() { return MutableSubjects(); }

const Subject* FindSubject(std::string_view name) {
  for (const Subject* subject : Subjects()) {
    if (subject->name == name) return subject;
  }
  return nullptr;
}

void AddSubject(const Subject& subject) {
  if (FindSubject(subject.name) != nullptr) {
    std::fprintf(stderr, "HARNESS BUG: a subject named %.*s exists already\n",
                 static_cast<int>(subject.name.size()), subject.name.data());
    std::abort();
  }
  MutableSubjects().push_back(&subject);
}

}  // namespace crosscheck
