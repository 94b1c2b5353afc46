#include "properties/visitors/write.h"

namespace crosscheck {

namespace {

void AppendNumber(uint64_t number, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(number >> shift));
  }
}

void AppendScalar(uint64_t index, std::string* out) {
  if (index < 0xff) {
    out->push_back(static_cast<char>(index));
  } else {
    AppendNumber(0xff, 1, out);
    AppendNumber(index, 4, out);
  }
}

}  // namespace

std::string ScalarBytes(uint64_t index) {
  std::string bytes;
  AppendScalar(index, &bytes);
  return bytes;
}

uint64_t WriteVisitor::Scalar(const ScalarField& field, uint64_t index) {
  if (field.seed) {
    AppendNumber(index, 8, &bytes_);
  } else {
    AppendScalar(index, &bytes_);
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
