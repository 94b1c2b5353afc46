// Read interpreter: any bytes make a legal case; missing bytes are zero and trailing bytes are
// ignored.
//
// One byte per field: its value modulo the number of choices; 0xff is followed by four bytes
// (big-endian) of a larger index. Seeds have eight bytes. Each list element is preceded by a byte,
// and the list goes on while one of its three low bits is set, so that insertions resynchronise.
// Nothing depends on the limits but the modulus.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_READ_H_
#define CROSSCHECK_PROPERTIES_VISITORS_READ_H_

#include "absl/types/span.h"
#include "properties/fields.h"

namespace crosscheck {

class ReadVisitor final : public FieldVisitor {
 public:
  explicit ReadVisitor(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField&) override { return {}; }
  bool OneMore(bool planned) override;

 private:
  uint64_t Next() { return position_ < bytes_.size() ? bytes_[position_++] : 0; }
  uint64_t Number(int bytes);

  absl::Span<const uint8_t> bytes_;
  size_t position_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_READ_H_
