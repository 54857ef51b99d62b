#include "ck_internal.h"

// Four rows of the weight at a time: each element of x is loaded once for four products, and the
// four sums hide the latency of the additions.
CK_CLONES void ck_matvec_f32(
    float *out, const float *weight, const float *x, const float *bias, size_t n, size_t k) {
  CK_REASSOCIATE
  size_t row = 0;
  for (; row + 4 <= n; row += 4) {
    const float *w0 = weight + row * k, *w1 = w0 + k, *w2 = w1 + k, *w3 = w2 + k;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (size_t i = 0; i < k; i++) {
      s0 += w0[i] * x[i];
      s1 += w1[i] * x[i];
      s2 += w2[i] * x[i];
      s3 += w3[i] * x[i];
    }
    out[row] = s0 + (bias ? bias[row] : 0.0f);
    out[row + 1] = s1 + (bias ? bias[row + 1] : 0.0f);
    out[row + 2] = s2 + (bias ? bias[row + 2] : 0.0f);
    out[row + 3] = s3 + (bias ? bias[row + 3] : 0.0f);
  }
  for (; row < n; row++) {
    const float *w = weight + row * k;
    float sum = 0;
    for (size_t i = 0; i < k; i++) sum += w[i] * x[i];
    out[row] = sum + (bias ? bias[row] : 0.0f);
  }
}

CK_CLONES void ck_add_bias_f32(
    float *out, const float *bias, size_t rows, size_t columns, size_t stride) {
  for (size_t row = 0; row < rows; row++, out += stride) {
    for (size_t i = 0; i < columns; i++) out[i] += bias[i];
  }
}
