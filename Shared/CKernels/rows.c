#include "ck_internal.h"

CK_CLONES void ck_rms_norm_f32(
    float *out, const float *x, const float *weight, size_t rows, size_t columns, float epsilon) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, x += columns, out += columns) {
    float squares = 0;
    for (size_t i = 0; i < columns; i++) squares += x[i] * x[i];
    const float scale = 1.0f / sqrtf(squares / (float)columns + epsilon);
    for (size_t i = 0; i < columns; i++) out[i] = x[i] * scale * weight[i];
  }
}

CK_CLONES void ck_layer_norm_f32(
    float *out, const float *x, const float *weight, const float *bias, size_t rows, size_t columns,
    float epsilon) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, x += columns, out += columns) {
    float sum = 0;
    for (size_t i = 0; i < columns; i++) sum += x[i];
    const float mean = sum / (float)columns;
    // A second pass over the differences: the one-pass formula cancels when the mean is large.
    float squares = 0;
    for (size_t i = 0; i < columns; i++) squares += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / sqrtf(squares / (float)columns + epsilon);
    for (size_t i = 0; i < columns; i++) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
  }
}

CK_CLONES void ck_softmax_f32(float *out, const float *x, size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row++, x += columns, out += columns) {
    ck_softmax_row(out, x, columns, 1.0f);
  }
}

// Angles are taken in double precision: at position 100 000 an f32 angle has lost four digits.
void ck_rotary_table_f32(
    float *out, const uint32_t *positions, const float *frequencies, size_t rows, size_t half) {
  for (size_t row = 0; row < rows; row++, out += 2 * half) {
    for (size_t i = 0; i < half; i++) {
      const double angle = (double)positions[row] * (double)frequencies[i];
      out[i] = (float)cos(angle);
      out[half + i] = (float)sin(angle);
    }
  }
}

CK_CLONES void ck_rope_f32(
    float *out, const float *x, const float *table, size_t rows, size_t heads, size_t head_dim,
    float sign) {
  const size_t half = head_dim / 2;
  for (size_t row = 0; row < rows; row++, table += head_dim) {
    const float *cosine = table, *sine = table + half;
    for (size_t head = 0; head < heads; head++, x += head_dim, out += head_dim) {
      for (size_t i = 0; i < half; i++) {
        const float first = x[i], second = x[half + i], angle_sine = sign * sine[i];
        out[i] = first * cosine[i] - second * angle_sine;
        out[half + i] = second * cosine[i] + first * angle_sine;
      }
    }
  }
}
