// E2M1, the 4-bit float of MXFP4 and NVFP4: sign, two exponent bits, one mantissa bit.
//
// Codes 0..7 are 0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign. No infinity, no NaN.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_E2M1_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_E2M1_H_

namespace crosscheck {

// kEven: to the code with an even mantissa (OCP): 0.75 -> 1, 1.75 -> 2, 3.5 -> 4.
// kSmaller: to the smaller magnitude, and 0 has no sign (GGML's search from code 0 upwards).
enum class E2M1Ties { kEven, kSmaller };

// The code nearest to `value`, which saturates at 6 and is not NaN.
int EncodeE2M1(float value, E2M1Ties ties = E2M1Ties::kEven);
float DecodeE2M1(int code);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_E2M1_H_
