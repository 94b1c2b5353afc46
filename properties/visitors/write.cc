#include "properties/visitors/write.h"

namespace crosscheck {

void WriteVisitor::Number(uint64_t number, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    bytes_.push_back(static_cast<char>(number >> shift));
}

uint64_t WriteVisitor::Scalar(const ScalarField& field, uint64_t index) {
  if (field.seed) {
    Number(index, 8);
  } else if (index < 0xff) {
    Number(index, 1);
  } else {
    Number(0xff, 1);
    Number(index, 4);
  }
  return index;
}

bool WriteVisitor::OneMore(bool planned) {
  bytes_.push_back(planned ? 1 : 0);
  return planned;
}

bool SmallerBytes(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size()
                              : a < b;  // std::string compares bytes as unsigned
}

}  // namespace crosscheck
