// Faults in one tensor that an engine loads: `faulty:NAME@TENSOR`, for example
// faulty:scaled_row@layers.1.mlp.up_proj.weight. TENSOR is the end of a checkpoint name; a model
// without it is loaded as it is. What makes them show: the weights that are touched. The smallest
// case: 1 layer, 1 token; what a mean over one key or one chunk hides needs 2.
#include <algorithm>
#include <cmath>
#include <string>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// A tensor as rows of its last dimension; a vector is one column of rows.
struct Matrix {
  std::vector<float>& values;
  size_t rows, columns;
  float& At(size_t row, size_t column) const { return values[row * columns + column]; }
};
Matrix AsMatrix(const TensorInfo& info, std::vector<float>& values) {
  const size_t columns = info.shape.size() < 2 ? 1 : static_cast<size_t>(info.shape.back());
  return {values, values.size() / columns, columns};
}

void ScaledRow(Matrix m, const ModelSpec&) {
  const size_t row = m.rows > 1 ? 1 : 0;
  for (size_t c = 0; c < m.columns; ++c) m.At(row, c) *= 1.5F;
}

void SwappedRows(Matrix m, const ModelSpec&) {
  for (size_t c = 0; c < m.columns; ++c) std::swap(m.At(0, c), m.At(m.rows - 1, c));
}

// The file holds [out, in] and the engine reads [in, out].
void Transposed(Matrix m, const ModelSpec&) {
  const std::vector<float> old = m.values;
  for (size_t r = 0; r < m.rows; ++r) {
    for (size_t c = 0; c < m.columns; ++c) m.At(r, c) = old[c * m.rows + r];
  }
}

void ZeroedColumn(Matrix m, const ModelSpec&) {
  for (size_t r = 0; r < m.rows; ++r) m.At(r, m.columns / 2) = 0;
}

void SignFlip(Matrix m, const ModelSpec&) {
  for (float& value : m.values) value = -value;
}

void OneElement(Matrix m, const ModelSpec&) {
  float largest = 0;
  for (const float value : m.values) largest = std::max(largest, std::abs(value));
  m.values[m.values.size() / 2] += largest;
}

// The second half of the heads, experts or channels is taken for the first.
void SwappedHalves(Matrix m, const ModelSpec&) {
  const auto half = static_cast<ptrdiff_t>(m.rows / 2 * m.columns);
  std::rotate(m.values.begin(), m.values.begin() + half, m.values.end());
}

// Value heads take the entries of their key heads, as lattice did before 0.4.1.
void PerKeyHead(Matrix m, const ModelSpec& spec) {
  const std::vector<float> old = m.values;
  const auto repeat = static_cast<size_t>(spec.linear_value_heads / spec.linear_key_heads);
  for (size_t i = 0; i < old.size(); ++i)
    m.values[i] = old[i / m.columns / repeat * m.columns + i % m.columns];
}

// The newest input of a convolution meets the weight of the one before.
void ShiftedTaps(Matrix m, const ModelSpec&) {
  for (size_t r = 0; r < m.rows; ++r) {
    const auto row = m.values.begin() + static_cast<ptrdiff_t>(r * m.columns);
    std::rotate(row, row + 1, row + static_cast<ptrdiff_t>(m.columns));
  }
}

// w where the norm multiplies with 1 + w.
void NormOffset(Matrix m, const ModelSpec&) {
  for (float& value : m.values) value -= 1;
}

void Scaled(Matrix m, const ModelSpec&) {
  for (float& value : m.values) value *= 1.5F;
}

// Eight bits of significand, as a conversion to bfloat16 that nobody asked for.
void Rounded(Matrix m, const ModelSpec&) {
  for (float& value : m.values) value = DecodeBF16(EncodeBF16(value));
}

template <void (*edit)(Matrix, const ModelSpec&)>
void Edit(Model& model, size_t tensor) {
  edit(AsMatrix(model.tensors[tensor], model.values[tensor]), model.spec);
}

// Keys and values of head 0 change places: of k_proj and v_proj of one layer.
void SwappedWithValues(Model& model, size_t tensor) {
  std::string name = model.tensors[tensor].name;
  const size_t at = name.find("k_proj");
  if (at == std::string::npos) return;
  name[at] = 'v';
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (model.tensors[i].name != name) continue;
    const auto head = static_cast<ptrdiff_t>(model.spec.head_dim) * model.spec.hidden;
    std::swap_ranges(model.values[tensor].begin(), model.values[tensor].begin() + head,
                     model.values[i].begin());
  }
}

// Positions are turned by angles of another base.
void RopeBase(Model& model, size_t) { model.spec.rope_theta *= 2; }

constexpr WeightFault kFaults[] = {
    {"scaled", Edit<Scaled>},
    {"swapped_with_values", SwappedWithValues},
    {"rope_base", RopeBase},
    {"scaled_row", Edit<ScaledRow>},
    {"swapped_rows", Edit<SwappedRows>},
    {"transposed", Edit<Transposed>},
    {"zeroed_column", Edit<ZeroedColumn>},
    {"sign_flip", Edit<SignFlip>},
    {"one_element", Edit<OneElement>},
    {"swapped_halves", Edit<SwappedHalves>},
    {"per_key_head", Edit<PerKeyHead>},
    {"shifted_taps", Edit<ShiftedTaps>},
    {"norm_offset", Edit<NormOffset>},
    {"rounded", Edit<Rounded>},
};

}  // namespace

absl::Span<const WeightFault> WeightFaults() { return kFaults; }

}  // namespace crosscheck
