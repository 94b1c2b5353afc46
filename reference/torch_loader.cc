// MakeTorchModel and MakeTorchSampler: load the shared library on first use and ask its factories.
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reference/owned_model.h"
#include "reference/torch/factory.h"

namespace crosscheck {
namespace {

// Next to the command, or one level up for programs in a folder of their own (the tests).
absl::StatusOr<std::string> FindLibrary() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot tell where this program lies: /proc/self/exe: ", error.message()));
  }
  const std::filesystem::path folder = program.parent_path();
  for (const auto& candidate : {folder / "lib", folder.parent_path() / "lib"}) {
    const std::filesystem::path file = candidate / kTorchLibraryName;
    if (std::filesystem::exists(file, error)) return file.string();
  }
  return absl::NotFoundError(
      absl::StrCat(kTorchLibraryName, " is neither in ", (folder / "lib").string(), " nor in ",
                   (folder.parent_path() / "lib").string(),
                   "; build the target crosscheck_torch or keep the lib folder with the program"));
}

absl::StatusOr<void*> LoadLibrary() {
  absl::StatusOr<std::string> file = FindLibrary();
  if (!file.ok()) return file.status();
  // Read once, while the BLAS and OpenMP runtimes initialise; set_num_threads does not reach
  // OpenBLAS.
  setenv("OPENBLAS_NUM_THREADS", "1", /*overwrite=*/1);
  setenv("OMP_NUM_THREADS", "1", /*overwrite=*/1);
  void* const library = dlopen(file->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot load ", *file, ": ", dlerror(),
                     "; install libtorch 1.13 and libopenblas0-pthread"));
  }
  return library;
}

template <class Factory>
absl::StatusOr<Factory*> LoadFactory(const char* name) {
  static const absl::StatusOr<void*> library = LoadLibrary();
  if (!library.ok()) return library.status();
  void* const symbol = dlsym(*library, name);
  if (symbol == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(kTorchLibraryName, " has no symbol ", name, "; build crosscheck_torch anew"));
  }
  return reinterpret_cast<Factory*>(symbol);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeTorchModel(std::shared_ptr<const Model> model,
                                                               TorchPrecision precision) {
  static const auto factory = LoadFactory<TorchModelFactory>(kTorchFactoryName);
  if (!factory.ok()) return factory.status();
  TorchModelResult result;
  (*factory)(&model, precision, &result);
  return result;
}

absl::StatusOr<std::unique_ptr<ReferenceModel>> TakeTorchModel(std::shared_ptr<Model> model,
                                                               TorchPrecision precision) {
  static const auto factory = LoadFactory<TorchOwnerFactory>(kTorchOwnerFactoryName);
  if (!factory.ok()) return factory.status();
  TorchModelResult result;
  (*factory)(&model, precision, &result);
  return result;
}

absl::StatusOr<std::unique_ptr<ReferenceSampler>> MakeTorchSampler(TorchPrecision precision) {
  static const auto factory = LoadFactory<TorchSamplerFactory>(kTorchSamplerFactoryName);
  if (!factory.ok()) return factory.status();
  TorchSamplerResult result;
  (*factory)(precision, &result);
  return result;
}

}  // namespace crosscheck
