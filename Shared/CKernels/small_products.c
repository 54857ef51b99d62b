#include "ck_internal.h"

// Wider than some targets' registers: the compiler splits it.
typedef float ck_v16 __attribute__((vector_size(64), aligned(4)));

#define CK_LOAD(pointer) (*(const ck_v16 *)(pointer))
#define CK_STORE(pointer, value) (*(ck_v16 *)(pointer) = (value))

// One row of the tile at `o`: the sums, added to what is there if asked.
#define CK_FINISH(o, s) CK_STORE(o, accumulates ? s + CK_LOAD(o) : s)

// Six rows and 16 columns at a time: with vectors of 8 the twelve sums, a row of b and an element of
// a just fit the registers, and the sums hide the latency of the additions.
CK_INLINE void ck_small_product_columns(
    float *out, size_t out_stride, const float *a, size_t a_row, size_t a_column, const float *b,
    size_t b_stride, size_t m, size_t k, int accumulates) {
  size_t i = 0;
  for (; i + 6 <= m; i += 6, out += 6 * out_stride) {
    const float *a0 = a + i * a_row, *a1 = a0 + a_row, *a2 = a1 + a_row, *a3 = a2 + a_row,
                *a4 = a3 + a_row, *a5 = a4 + a_row;
    ck_v16 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0};
    for (size_t p = 0, q = 0; p < k; p++, q += a_column) {
      const ck_v16 row = CK_LOAD(b + p * b_stride);
      s0 += a0[q] * row, s1 += a1[q] * row, s2 += a2[q] * row;
      s3 += a3[q] * row, s4 += a4[q] * row, s5 += a5[q] * row;
    }
    CK_FINISH(out, s0);
    CK_FINISH(out + out_stride, s1);
    CK_FINISH(out + 2 * out_stride, s2);
    CK_FINISH(out + 3 * out_stride, s3);
    CK_FINISH(out + 4 * out_stride, s4);
    CK_FINISH(out + 5 * out_stride, s5);
  }
  for (; i + 3 <= m; i += 3, out += 3 * out_stride) {
    const float *a0 = a + i * a_row, *a1 = a0 + a_row, *a2 = a1 + a_row;
    ck_v16 s0 = {0}, s1 = {0}, s2 = {0};
    for (size_t p = 0, q = 0; p < k; p++, q += a_column) {
      const ck_v16 row = CK_LOAD(b + p * b_stride);
      s0 += a0[q] * row, s1 += a1[q] * row, s2 += a2[q] * row;
    }
    CK_FINISH(out, s0);
    CK_FINISH(out + out_stride, s1);
    CK_FINISH(out + 2 * out_stride, s2);
  }
  for (; i < m; i++, out += out_stride) {
    const float *a0 = a + i * a_row;
    ck_v16 s = {0};
    for (size_t p = 0; p < k; p++) s += a0[p * a_column] * CK_LOAD(b + p * b_stride);
    CK_FINISH(out, s);
  }
}

CK_CLONES void ck_small_product_f32(
    float *out, size_t out_stride, const float *a, size_t a_row, size_t a_column, const float *b,
    size_t b_stride, size_t m, size_t n, size_t k, int accumulates) {
  size_t j = 0;
  for (; j + 16 <= n; j += 16) {
    ck_small_product_columns(
        out + j, out_stride, a, a_row, a_column, b + j, b_stride, m, k, accumulates);
  }
  if (j == n) return;
  const size_t rest = n - j;
  for (size_t i = 0; i < m; i++) {
    const float *a0 = a + i * a_row;
    float sums[16] = {0};
    for (size_t p = 0; p < k; p++) {
      const float weight = a0[p * a_column];
      for (size_t c = 0; c < rest; c++) sums[c] += weight * b[p * b_stride + j + c];
    }
    float *o = out + i * out_stride + j;
    for (size_t c = 0; c < rest; c++) o[c] = accumulates ? o[c] + sums[c] : sums[c];
  }
}

CK_CLONES void ck_transpose_f32(
    float *out, size_t out_stride, const float *x, size_t x_stride, size_t rows, size_t columns) {
  for (size_t i = 0; i < columns; i++, out += out_stride) {
    for (size_t row = 0; row < rows; row++) out[row] = x[row * x_stride + i];
    for (size_t row = rows; row < out_stride; row++) out[row] = 0;
  }
}
