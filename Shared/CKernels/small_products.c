#include "ck_internal.h"

// Wider than some targets' registers: the compiler splits it.
typedef float ck_v16 __attribute__((vector_size(64), aligned(4)));

#define CK_LOAD(pointer) (*(const ck_v16 *)(pointer))
#define CK_STORE(pointer, value) (*(ck_v16 *)(pointer) = (value))

// Four rows and 32 columns at a time: eight sums hide the latency of the additions, and each row of
// b is loaded once for four rows of a.
CK_CLONES void ck_small_product_f32(
    float *out, size_t out_stride, const float *a, size_t a_row, size_t a_column, const float *b,
    size_t b_stride, size_t m, size_t n, size_t k, int accumulates) {
  size_t j = 0;
  for (; j + 32 <= n; j += 32) {
    size_t i = 0;
    for (; i + 4 <= m; i += 4) {
      const float *a0 = a + i * a_row, *a1 = a0 + a_row, *a2 = a1 + a_row, *a3 = a2 + a_row;
      ck_v16 s00 = {0}, s01 = {0}, s10 = {0}, s11 = {0};
      ck_v16 s20 = {0}, s21 = {0}, s30 = {0}, s31 = {0};
      for (size_t p = 0; p < k; p++) {
        const ck_v16 b0 = CK_LOAD(b + p * b_stride + j), b1 = CK_LOAD(b + p * b_stride + j + 16);
        const size_t q = p * a_column;
        s00 += a0[q] * b0, s01 += a0[q] * b1;
        s10 += a1[q] * b0, s11 += a1[q] * b1;
        s20 += a2[q] * b0, s21 += a2[q] * b1;
        s30 += a3[q] * b0, s31 += a3[q] * b1;
      }
      float *o0 = out + i * out_stride + j, *o1 = o0 + out_stride, *o2 = o1 + out_stride,
            *o3 = o2 + out_stride;
      if (accumulates) {
        s00 += CK_LOAD(o0), s01 += CK_LOAD(o0 + 16), s10 += CK_LOAD(o1), s11 += CK_LOAD(o1 + 16);
        s20 += CK_LOAD(o2), s21 += CK_LOAD(o2 + 16), s30 += CK_LOAD(o3), s31 += CK_LOAD(o3 + 16);
      }
      CK_STORE(o0, s00), CK_STORE(o0 + 16, s01), CK_STORE(o1, s10), CK_STORE(o1 + 16, s11);
      CK_STORE(o2, s20), CK_STORE(o2 + 16, s21), CK_STORE(o3, s30), CK_STORE(o3 + 16, s31);
    }
    for (; i < m; i++) {
      const float *a0 = a + i * a_row;
      ck_v16 s0 = {0}, s1 = {0};
      for (size_t p = 0; p < k; p++) {
        s0 += a0[p * a_column] * CK_LOAD(b + p * b_stride + j);
        s1 += a0[p * a_column] * CK_LOAD(b + p * b_stride + j + 16);
      }
      float *o = out + i * out_stride + j;
      if (accumulates) s0 += CK_LOAD(o), s1 += CK_LOAD(o + 16);
      CK_STORE(o, s0), CK_STORE(o + 16, s1);
    }
  }
  for (; j + 16 <= n; j += 16) {
    size_t i = 0;
    for (; i + 4 <= m; i += 4) {
      const float *a0 = a + i * a_row, *a1 = a0 + a_row, *a2 = a1 + a_row, *a3 = a2 + a_row;
      ck_v16 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
      for (size_t p = 0; p < k; p++) {
        const ck_v16 b0 = CK_LOAD(b + p * b_stride + j);
        const size_t q = p * a_column;
        s0 += a0[q] * b0, s1 += a1[q] * b0, s2 += a2[q] * b0, s3 += a3[q] * b0;
      }
      float *o0 = out + i * out_stride + j, *o1 = o0 + out_stride, *o2 = o1 + out_stride,
            *o3 = o2 + out_stride;
      if (accumulates) s0 += CK_LOAD(o0), s1 += CK_LOAD(o1), s2 += CK_LOAD(o2), s3 += CK_LOAD(o3);
      CK_STORE(o0, s0), CK_STORE(o1, s1), CK_STORE(o2, s2), CK_STORE(o3, s3);
    }
    for (; i < m; i++) {
      const float *a0 = a + i * a_row;
      ck_v16 s = {0};
      for (size_t p = 0; p < k; p++) s += a0[p * a_column] * CK_LOAD(b + p * b_stride + j);
      float *o = out + i * out_stride + j;
      if (accumulates) s += CK_LOAD(o);
      CK_STORE(o, s);
    }
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
