#include "quality/dump_table.h"

#include "absl/strings/str_cat.h"

namespace crosscheck::quality {

absl::StatusOr<Table> ReadTable(DumpReader& dump, const std::string& track, int item,
                                std::string_view what, int columns) {
  auto tensor = dump.Read(track, item, what);
  if (!tensor.ok()) return tensor.status();
  if ((*tensor)->dtype != DType::kF64 || (*tensor)->shape.size() != 2 ||
      (*tensor)->shape[1] != columns) {
    return absl::FailedPreconditionError(absl::StrCat(dump.folder(), ": ", (*tensor)->name,
                                                      " is no F64 [positions, ", columns, "]"));
  }
  const auto values = (*tensor)->As<double>();
  return Table{{values.begin(), values.end()}, columns};
}

}  // namespace crosscheck::quality
