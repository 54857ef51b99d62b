#include "ck_internal.h"

CK_CLONES void ck_convert_bf16_f32(float *out, const uint16_t *x, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = ck_bits_to_f32((uint32_t)x[i] << 16);
}

CK_CLONES void ck_convert_f16_f32(float *out, const uint16_t *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t sign = (uint32_t)(x[i] & 0x8000) << 16;
    const uint32_t magnitude = x[i] & 0x7fff;
    // Moves exponent and mantissa into place, then corrects the exponent's bias (127 - 15) by a
    // product, which also normalizes subnormals. Infinity and NaN get the largest exponent.
    float value = ck_bits_to_f32(magnitude << 13) * 0x1p112f;
    const uint32_t special = ck_f32_to_bits(value) | 0x7f800000u;
    const uint32_t bits = magnitude >= 0x7c00 ? special : ck_f32_to_bits(value);
    out[i] = ck_bits_to_f32(bits | sign);
  }
}

// Adding half a unit of the last kept place less the tie's bit rounds to nearest, ties to even.
CK_CLONES void ck_convert_f32_bf16(uint16_t *out, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = ck_f32_to_bits(x[i]);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40u;  // NaN keeps its sign and stays NaN.
    out[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
}

CK_CLONES void ck_add_f32(float *out, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

CK_CLONES void ck_mul_f32(float *out, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = a[i] * b[i];
}

CK_CLONES void ck_silu_f32(float *out, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = x[i] / (1.0f + ck_exp(-x[i]));
}

CK_CLONES void ck_silu_mul_f32(float *out, const float *gate, const float *up, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = gate[i] / (1.0f + ck_exp(-gate[i])) * up[i];
}

CK_CLONES void ck_gelu_f32(float *out, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    out[i] = 0.5f * x[i] * (1.0f + ck_erf(x[i] * 0.70710678118654752f));
  }
}
