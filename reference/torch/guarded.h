// How every entry point of this folder runs libtorch.
#ifndef CROSSCHECK_REFERENCE_TORCH_GUARDED_H_
#define CROSSCHECK_REFERENCE_TORCH_GUARDED_H_

#include <exception>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "reference/torch/torch_headers.h"

namespace crosscheck::torch_reference {

// Settings of the whole process, made by the first call.
void PrepareProcess();

// Runs a computation without autograd and turns libtorch's exceptions into a status.
template <class Function>
auto Guarded(Function&& function) -> absl::StatusOr<decltype(function())> {
  try {
    const c10::InferenceMode inference;
    return function();
  } catch (const c10::Error& error) {
    return absl::InternalError(absl::StrCat("libtorch: ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("libtorch: ", error.what()));
  }
}

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_GUARDED_H_
