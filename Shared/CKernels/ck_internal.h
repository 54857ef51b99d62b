// What the kernels share: the compilation for several processors and the vectorizable functions.
#ifndef CK_INTERNAL_H
#define CK_INTERNAL_H

#include <math.h>
#include <string.h>

#include "include/ckernels.h"

// Each marked function is compiled for AVX-512, AVX2 with FMA and the baseline; the loader picks.
#if defined(__x86_64__) && defined(__linux__)
#define CK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CK_CLONES
#endif

// Must be inlined into the clones, or it would be compiled for the baseline alone.
#define CK_INLINE static inline __attribute__((always_inline))

// Sums may be reordered, so that a reduction uses whole vectors. The order depends on the
// processor's vector width, never on the number of threads.
#define CK_REASSOCIATE _Pragma("clang fp reassociate(on)")

CK_INLINE float ck_bits_to_f32(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

CK_INLINE uint32_t ck_f32_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// exp(x) within 2 units in the last place (Cephes expf): x = n ln 2 + r, exp(r) by a polynomial.
// Results below the smallest normal number saturate there; NaN stays NaN.
CK_INLINE float ck_exp(float x) {
  x = x > 88.3762626647949f ? 88.3762626647949f : x;
  x = x < -87.3365447504019f ? -87.3365447504019f : x;
  // Adding 1.5 * 2^23 leaves the rounded integer in the low bits: no conversion, so NaN is defined.
  const float magic = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float y = p * r * r + r + 1.0f;
  const uint32_t exponent = (ck_f32_to_bits(shifted) - ck_f32_to_bits(magic) + 127u) << 23;
  return y * ck_bits_to_f32(exponent);
}

// erf(x) within 2e-7: a rational function of x^2 on the range where it is not 1 in f32 (the
// coefficients are those of Eigen and XLA).
CK_INLINE float ck_erf(float x) {
  x = x > 3.832506856900711f ? 3.832506856900711f : x;
  x = x < -3.832506856900711f ? -3.832506856900711f : x;
  const float s = x * x;
  float p = 0.00022905065861350646f;
  p = p * s + 0.0034082910107109506f;
  p = p * s + 0.050955695062380861f;
  p = p * s + 0.18520832239976145f;
  p = p * s + 1.128379143519084f;
  float q = -1.1791602954361697e-7f;
  q = q * s + 0.000023547966471313185f;
  q = q * s + 0.0010179625278914885f;
  q = q * s + 0.014070470171167667f;
  q = q * s + 0.11098505178285362f;
  q = q * s + 0.49746925110067538f;
  q = q * s + 1.0f;
  return x * p / q;
}

// The output function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): a bijection that mixes every bit into every other.
CK_INLINE uint64_t ck_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// The key of one row's mask.
CK_INLINE uint64_t ck_dropout_key(const ck_dropout *dropout, uint64_t row) {
  const uint64_t golden = 0x9e3779b97f4a7c15u;
  return ck_mix(ck_mix(dropout->seed + golden * (dropout->stream + 1u)) + golden * (row + 1u));
}

// 32 random bits for a column of the row with that key: two rounds of a 32-bit finalizer (the
// constants are those of Wellons' "hash-prospector"), because vectors have no wide product.
CK_INLINE uint32_t ck_dropout_bits(uint64_t key, uint32_t column) {
  uint32_t h = column * 0x9e3779b9u + (uint32_t)key;
  h = (h ^ (h >> 16)) * 0x21f0aaadu ^ (uint32_t)(key >> 32);
  h = (h ^ (h >> 15)) * 0x735a2d97u;
  return h ^ (h >> 15);
}

// In lanes, because a single maximum is a chain that the compiler may not break. NaN is passed
// over: it reaches the result through the exponentials.
CK_INLINE float ck_maximum(const float *x, size_t count) {
  float lanes[16];
  for (size_t j = 0; j < 16; j++) lanes[j] = x[0];
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t j = 0; j < 16; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  for (size_t j = 0; i + j < count; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t j = 0; j < width; j++) {
      lanes[j] = lanes[j + width] > lanes[j] ? lanes[j + width] : lanes[j];
    }
  }
  return lanes[0];
}

// out = softmax(scale * x); subtracting the maximum keeps exp in range. scale > 0.
CK_INLINE void ck_softmax_row(float *out, const float *x, size_t count, float scale) {
  CK_REASSOCIATE
  const float maximum = ck_maximum(x, count);
  float sum = 0;
  for (size_t i = 0; i < count; i++) {
    const float e = ck_exp((x[i] - maximum) * scale);
    out[i] = e;
    sum += e;
  }
  const float inverse = 1.0f / sum;
  for (size_t i = 0; i < count; i++) out[i] *= inverse;
}

#endif
