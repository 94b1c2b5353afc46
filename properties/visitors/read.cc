#include "properties/visitors/read.h"

namespace crosscheck {

uint64_t ReadVisitor::Number(int bytes) {
  uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) number = number << 8 | Next();
  return number;
}

uint64_t ReadVisitor::Scalar(const ScalarField& field, uint64_t /*index*/) {
  if (field.seed) return Number(8);
  uint64_t index = Next();
  if (index == 0xff) index = Number(4);
  return index % (field.max_index + 1);
}

bool ReadVisitor::OneMore(bool /*planned*/) { return (Next() & 7) != 0; }

}  // namespace crosscheck
