// Random interpreter: 30 % of the draws of a field are its bounds and interesting values, the rest
// are ordinary. are ordinary. rest are ordinary.
//
// Fields of a Shared group come from Stream::Shared, so equal shared seeds give equal groups
// whatever the rest is.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_RANDOM_H_
#define CROSSCHECK_PROPERTIES_VISITORS_RANDOM_H_

#include <memory>
#include <string_view>
#include <vector>

#include "properties/fields.h"
#include "properties/stream.h"

namespace crosscheck {

class RandomVisitor final : public FieldVisitor {
 public:
  explicit RandomVisitor(Stream& stream) : stream_(&stream) {}

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override;
  void BeginGroup(std::string_view name, bool shared) override;
  void EndGroup() override;

 private:
  uint64_t Uniform(uint64_t max_index) {
    return static_cast<uint64_t>(stream_->Int(0, static_cast<int64_t>(max_index)));
  }
  bool Special() { return stream_->Int(0, 99) < 30; }
  size_t Length(const ListRange& range);

  Stream* stream_;
  std::vector<Stream*> outer_;  // streams of the enclosing groups
  std::vector<std::unique_ptr<Stream>> shared_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_RANDOM_H_
