#include "reference/quantisation/quantised_tensors.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "reference/quantisation/fp8_e4m3.h"
#include "reference/quantisation/mxfp4.h"
#include "reference/quantisation/nvfp4.h"

namespace crosscheck {
namespace {

// A tensor as matrices [rows, columns] one after the other.
struct Extents {
  int64_t matrices = 1;
  int64_t rows = 1;
  int64_t columns = 1;
};

absl::StatusOr<Extents> ExtentsOf(const FileTensor& file) {
  const std::vector<int64_t>& shape = file.tensor.shape;
  const bool empty = file.tensor.bytes.empty();
  if (!empty && shape.size() == 2) return Extents{1, shape[0], shape[1]};
  if (!empty && shape.size() == 3) return Extents{shape[0], shape[1], shape[2]};
  return AtFile(file.path,
                absl::DataLossError(absl::StrCat("tensor ", file.tensor.name, " has shape ",
                                                 ShapeText(shape), "; expected a matrix")));
}

absl::Status Misfit(const FileTensor& file, std::string_view what) {
  return AtFile(file.path,
                absl::DataLossError(absl::StrCat(
                    "tensor ", file.tensor.name, " has dtype ",
                    std::string(kDTypeNames[static_cast<size_t>(file.tensor.dtype)]), " and shape ",
                    ShapeText(file.tensor.shape), "; expected ", std::string(what))));
}

// Scales of a floating dtype, finite.
absl::StatusOr<std::vector<float>> Scales(const FileTensor& file) {
  const auto wide = file.tensor.ToDoubles();
  if (!wide.ok()) return Misfit(file, "scales of a floating dtype");
  std::vector<float> scales(wide->begin(), wide->end());
  for (size_t i = 0; i < scales.size(); ++i) {
    if (std::isfinite(scales[i])) continue;
    return AtFile(file.path, absl::DataLossError(absl::StrCat("tensor ", file.tensor.name,
                                                              ": scale ", i, " is ", scales[i])));
  }
  return scales;
}

const FileTensor* Find(const CheckpointTensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

class Decoder {
 public:
  Decoder(const Fp8Block& block, CheckpointTensors& tensors) : block_(block), tensors_(tensors) {}

  // Decodes what `name` is the codes of, if it is codes.
  absl::Status Decode(const std::string& name) {
    const FileTensor& file = tensors_.at(name);
    const bool scale = absl::EndsWith(name, "_scale") || absl::EndsWith(name, "_scale_inv");
    if (file.tensor.dtype == DType::kF8E4M3 && !scale) return DecodeFp8Tensor(name);
    if (file.tensor.dtype != DType::kU8) return absl::OkStatus();
    if (absl::EndsWith(name, "_blocks")) return DecodeBlocks(name);
    const std::string weight(absl::StripSuffix(name, "_packed"));
    const FileTensor* scales = Find(tensors_, weight + "_scale");
    if (scales == nullptr) return absl::OkStatus();
    if (scales->tensor.dtype == DType::kU8) return DecodePacked(name, weight);
    return DecodeNvfp4Tensor(name, weight);
  }

  std::map<std::string, TensorEncoding> TakeEncodings() { return std::move(encodings_); }

 private:
  absl::Status DecodeFp8Tensor(const std::string& name) {
    const FileTensor& codes = tensors_.at(name);
    const FileTensor* scales = Find(tensors_, name + "_scale_inv");
    if (scales == nullptr) scales = Find(tensors_, name + "_scale");
    if (scales == nullptr) {
      return AtFile(codes.path, absl::NotFoundError(
                                    absl::StrCat("tensor ", name, " has dtype F8_E4M3 and neither ",
                                                 name, "_scale_inv nor ", name, "_scale")));
    }
    const auto extents = ExtentsOf(codes);
    if (!extents.ok()) return extents.status();
    const auto values = Scales(*scales);
    if (!values.ok()) return values.status();
    const auto scope = ScopeOf(*extents, *scales);
    if (!scope.ok()) return scope.status();
    std::vector<float> decoded;
    const auto matrices = static_cast<size_t>(extents->matrices);
    const size_t size = codes.tensor.bytes.size() / matrices;
    const size_t step = values->size() / matrices;
    for (size_t m = 0; m < matrices; ++m) {
      const auto matrix = DecodeFp8(std::string_view(codes.tensor.bytes).substr(m * size, size),
                                    absl::MakeConstSpan(*values).subspan(step * m, step),
                                    static_cast<size_t>(extents->rows),
                                    static_cast<size_t>(extents->columns), scope->first);
      if (!matrix.ok()) return AtFile(codes.path, matrix.status());
      decoded.insert(decoded.end(), matrix->begin(), matrix->end());
    }
    return Replace(name, name, scope->second, codes.tensor.shape, decoded, {scales->tensor.name});
  }

  // Which weights share a scale, from the shape of the scales, and the name of that format.
  absl::StatusOr<std::pair<Fp8Scope, std::string>> ScopeOf(const Extents& extents,
                                                           const FileTensor& scales) const {
    const int64_t count = scales.tensor.ElementCount();
    const auto blocks = [](int64_t extent, int64_t block) { return (extent + block - 1) / block; };
    const int64_t block_count =
        blocks(extents.rows, block_.rows) * blocks(extents.columns, block_.columns);
    const bool inverse = absl::EndsWith(scales.tensor.name, "_scale_inv");
    const std::pair<Fp8Scope, std::string> block = {
        {static_cast<size_t>(block_.rows), static_cast<size_t>(block_.columns)}, "fp8_block"};
    // One row of blocks has as many scales as other forms may have: the name tells them apart.
    if (inverse && count == extents.matrices * block_count) return block;
    if (count == extents.matrices) return std::pair(Fp8Scope{}, std::string("fp8_tensor"));
    if (count == extents.matrices * extents.rows && !inverse) {
      return std::pair(Fp8Scope{.block_rows = 1}, std::string("fp8_row"));
    }
    if (count == extents.matrices * block_count) return block;
    return Misfit(scales, absl::StrCat("a scale for each of ", extents.matrices, " matrices, ",
                                       extents.rows, " rows or ", block_count, " blocks of ",
                                       block_.rows, " x ", block_.columns));
  }

  // gpt-oss: X_blocks [.., columns / 32, 16] and X_scales [.., columns / 32].
  absl::Status DecodeBlocks(const std::string& name) {
    const FileTensor& codes = tensors_.at(name);
    const std::string stem(absl::StripSuffix(name, "_blocks"));
    const FileTensor* scales = Find(tensors_, stem + "_scales");
    if (scales == nullptr || scales->tensor.dtype != DType::kU8) return absl::OkStatus();
    std::vector<int64_t> shape = scales->tensor.shape;
    shape.push_back(kMxfp4BlockBytes);
    if (scales->tensor.shape.empty() || codes.tensor.shape != shape) {
      return Misfit(
          codes, absl::StrCat("16 bytes for each of the scales ", ShapeText(scales->tensor.shape)));
    }
    const bool expert = absl::EndsWith(stem, ".gate_up_proj") ||
                        (absl::EndsWith(stem, ".down_proj") && shape.size() == 4);
    const std::string weight = expert || absl::EndsWith(stem, ".weight") ? stem : stem + ".weight";
    shape.pop_back();
    shape.back() *= kMxfp4BlockValues;
    return DecodeMxfp4Tensor(name, weight, *scales, std::move(shape));
  }

  // compressed-tensors: X_packed [rows, columns / 2] and X_scale [rows, columns / 32], both U8.
  absl::Status DecodePacked(const std::string& name, const std::string& weight) {
    const FileTensor& codes = tensors_.at(name);
    const FileTensor* scales = Find(tensors_, weight + "_scale");
    std::vector<int64_t> expected = codes.tensor.shape;
    if (expected.empty()) return Misfit(codes, "a matrix");
    expected.back() = codes.tensor.shape.back() / static_cast<int64_t>(kMxfp4BlockBytes);
    if (scales->tensor.shape != expected) {
      return Misfit(*scales, absl::StrCat("shape ", ShapeText(expected)));
    }
    std::vector<int64_t> shape = codes.tensor.shape;
    shape.back() *= 2;
    return DecodeMxfp4Tensor(name, weight, *scales, std::move(shape));
  }

  absl::Status DecodeMxfp4Tensor(const std::string& name, const std::string& weight,
                                 const FileTensor& scales, std::vector<int64_t> shape) {
    if (const size_t at = scales.tensor.bytes.find('\xff'); at != std::string::npos) {
      return AtFile(scales.path, absl::DataLossError(absl::StrCat("tensor ", scales.tensor.name,
                                                                  ": scale ", at, " is NaN")));
    }
    const auto decoded = DecodeMxfp4(tensors_.at(name).tensor.bytes, scales.tensor.bytes);
    if (!decoded.ok()) return AtFile(scales.path, decoded.status());
    return Replace(name, weight, "mxfp4", std::move(shape), *decoded, {scales.tensor.name});
  }

  absl::Status DecodeNvfp4Tensor(const std::string& name, const std::string& weight) {
    const FileTensor& codes = tensors_.at(name);
    const FileTensor& scales = *Find(tensors_, weight + "_scale");
    std::vector<int64_t> expected = codes.tensor.shape;
    if (expected.empty()) return Misfit(codes, "a matrix");
    expected.back() = codes.tensor.shape.back() / static_cast<int64_t>(kNvfp4BlockBytes);
    if (scales.tensor.dtype != DType::kF8E4M3 || scales.tensor.shape != expected ||
        codes.tensor.shape.back() % static_cast<int64_t>(kNvfp4BlockBytes) != 0) {
      return Misfit(scales, absl::StrCat("F8_E4M3 and shape ", ShapeText(expected)));
    }
    const FileTensor* global = Find(tensors_, weight + "_scale_2");
    const bool reciprocal = global == nullptr;
    if (reciprocal) global = Find(tensors_, weight + "_global_scale");
    if (global == nullptr) {
      return AtFile(codes.path,
                    absl::NotFoundError(absl::StrCat("tensor ", name, " has neither ", weight,
                                                     "_scale_2 nor ", weight, "_global_scale")));
    }
    const auto factor = Scales(*global);
    if (!factor.ok()) return factor.status();
    if (factor->size() != 1 || (reciprocal && (*factor)[0] == 0)) {
      return Misfit(*global, "one number, not 0");
    }
    const auto decoded = DecodeNvfp4(codes.tensor.bytes, scales.tensor.bytes,
                                     reciprocal ? 1 / (*factor)[0] : (*factor)[0]);
    if (!decoded.ok()) return AtFile(codes.path, decoded.status());
    if (const auto nan = std::find_if(decoded->begin(), decoded->end(),
                                      [](float value) { return std::isnan(value); });
        nan != decoded->end()) {
      const auto at = static_cast<size_t>(nan - decoded->begin()) / kNvfp4BlockValues;
      return AtFile(scales.path, absl::DataLossError(absl::StrCat("tensor ", scales.tensor.name,
                                                                  ": scale ", at, " is NaN")));
    }
    std::vector<int64_t> shape = codes.tensor.shape;
    shape.back() *= 2;
    return Replace(name, weight, "nvfp4", std::move(shape), *decoded,
                   {scales.tensor.name, global->tensor.name});
  }

  // The decoded tensor in the place of its codes; scales stay, no model needs them.
  absl::Status Replace(const std::string& codes, const std::string& weight, std::string format,
                       std::vector<int64_t> shape, const std::vector<float>& values,
                       std::initializer_list<std::string> scales) {
    FileTensor file = std::move(tensors_.at(codes));
    TensorEncoding encoding{std::move(format), static_cast<int64_t>(file.tensor.bytes.size())};
    for (const std::string& name : scales) {
      encoding.bytes += static_cast<int64_t>(tensors_.at(name).tensor.bytes.size());
    }
    tensors_.erase(codes);
    file.tensor = MakeTensor(weight, std::move(shape), absl::MakeConstSpan(values));
    if (!tensors_.try_emplace(weight, file).second) {
      return AtFile(file.path, absl::AlreadyExistsError(absl::StrCat(
                                   "tensor ", weight, " is there twice: as it is and as ", codes)));
    }
    encodings_[weight] = std::move(encoding);
    return absl::OkStatus();
  }

  const Fp8Block& block_;
  CheckpointTensors& tensors_;
  std::map<std::string, TensorEncoding> encodings_;
};

}  // namespace

absl::StatusOr<std::map<std::string, TensorEncoding>> DecodeQuantisedTensors(
    const Fp8Block& block, CheckpointTensors& tensors) {
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const auto& [name, unused] : tensors) names.push_back(name);
  std::sort(names.begin(), names.end());
  Decoder decoder(block, tensors);
  for (const std::string& name : names) {
    if (absl::Status status = decoder.Decode(name); !status.ok()) return status;
  }
  return decoder.TakeEncodings();
}

}  // namespace crosscheck
