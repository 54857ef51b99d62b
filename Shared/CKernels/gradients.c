#include "ck_internal.h"

CK_CLONES void ck_sum_rows_f32(
    float *out, const float *x, size_t rows, size_t columns, int accumulates) {
  if (!accumulates) memset(out, 0, columns * sizeof *out);
  for (size_t row = 0; row < rows; row++, x += columns) {
    for (size_t i = 0; i < columns; i++) out[i] += x[i];
  }
}

CK_CLONES void ck_accumulate_f32(float *out, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += x[i];
}

// silu'(x) = s (1 + x (1 - s)), where s = sigmoid(x).
CK_CLONES void ck_silu_gradient_f32(
    float *out, const float *g, const float *x, const float *up, size_t count) {
  if (up) {
    for (size_t i = 0; i < count; i++) {
      const float s = 1.0f / (1.0f + ck_exp(-x[i]));
      out[i] = g[i] * up[i] * (s * (1.0f + x[i] * (1.0f - s)));
    }
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const float s = 1.0f / (1.0f + ck_exp(-x[i]));
    out[i] = g[i] * (s * (1.0f + x[i] * (1.0f - s)));
  }
}

// gelu'(x) = Phi(x) + x phi(x), the normal distribution and its density.
CK_CLONES void ck_gelu_gradient_f32(float *out, const float *g, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float distribution = 0.5f * (1.0f + ck_erf(x[i] * 0.70710678118654752f));
    const float density = 0.39894228040143268f * ck_exp(-0.5f * x[i] * x[i]);
    out[i] = g[i] * (distribution + x[i] * density);
  }
}

// tanh(x) = sign(x) (1 - e) / (1 + e) with e = exp(-2|x|); below 1/16 the odd polynomial, where the
// difference would cancel.
CK_CLONES void ck_tanh_f32(float *out, const float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float magnitude = fabsf(x[i]);
    const float e = ck_exp(-2.0f * magnitude);
    const float s = x[i] * x[i];
    const float near = x[i] * (1.0f + s * (-0.33333333f + s * (0.13333333f + s * -0.05396825f)));
    const float far = copysignf((1.0f - e) / (1.0f + e), x[i]);
    out[i] = magnitude < 0.0625f ? near : far;
  }
}

CK_CLONES void ck_tanh_gradient_f32(float *out, const float *g, const float *y, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = g[i] * (1.0f - y[i] * y[i]);
}

CK_CLONES void ck_softmax_gradient_f32(
    float *out, const float *g, const float *y, size_t rows, size_t columns) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, out += columns, g += columns, y += columns) {
    float sum = 0;
    for (size_t i = 0; i < columns; i++) sum += g[i] * y[i];
    for (size_t i = 0; i < columns; i++) out[i] = y[i] * (g[i] - sum);
  }
}

// The mean (0 unless centered) of a row and 1 / its root mean square about it.
CK_INLINE void ck_moments(
    const float *x, size_t columns, float epsilon, int is_centered, float *mean, float *scale) {
  CK_REASSOCIATE
  float sum = 0;
  if (is_centered) {
    for (size_t i = 0; i < columns; i++) sum += x[i];
  }
  const float center = sum / (float)columns;
  float squares = 0;
  for (size_t i = 0; i < columns; i++) squares += (x[i] - center) * (x[i] - center);
  *mean = center;
  *scale = 1.0f / sqrtf(squares / (float)columns + epsilon);
}

// With n = (x - mean) scale and h = g weight: dx = scale (h - mean(h) - n mean(h n)); the mean of h
// only where the norm subtracts a mean.
CK_CLONES void ck_norm_gradient_f32(
    float *out, const float *g, const float *x, const float *weight, size_t rows, size_t columns,
    float epsilon, int is_centered) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, out += columns, g += columns, x += columns) {
    float mean, scale;
    ck_moments(x, columns, epsilon, is_centered, &mean, &scale);
    float sum = 0, products = 0;
    for (size_t i = 0; i < columns; i++) {
      const float h = g[i] * weight[i];
      sum += h;
      products += h * (x[i] - mean);
    }
    const float shift = is_centered ? sum / (float)columns : 0.0f;
    const float slope = products * scale * scale / (float)columns;
    for (size_t i = 0; i < columns; i++) {
      out[i] = scale * (g[i] * weight[i] - shift - (x[i] - mean) * slope);
    }
  }
}

CK_CLONES void ck_norm_weight_gradient_f32(
    float *out, const float *g, const float *x, size_t rows, size_t columns, float epsilon,
    int is_centered, int accumulates) {
  if (!accumulates) memset(out, 0, columns * sizeof *out);
  for (size_t row = 0; row < rows; row++, g += columns, x += columns) {
    float mean, scale;
    ck_moments(x, columns, epsilon, is_centered, &mean, &scale);
    for (size_t i = 0; i < columns; i++) out[i] += g[i] * ((x[i] - mean) * scale);
  }
}

CK_CLONES void ck_cross_entropy_f32(
    float *losses, const float *logits, const uint32_t *labels, size_t rows, size_t columns) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, logits += columns) {
    losses[row] = 0;
    if (labels[row] == UINT32_MAX) continue;
    const float maximum = ck_maximum(logits, columns);
    float sum = 0;
    for (size_t i = 0; i < columns; i++) sum += ck_exp(logits[i] - maximum);
    losses[row] = logf(sum) + maximum - logits[labels[row]];
  }
}

CK_CLONES void ck_cross_entropy_gradient_f32(
    float *out, const float *logits, const uint32_t *labels, size_t rows, size_t columns,
    float scale) {
  for (size_t row = 0; row < rows; row++, logits += columns, out += columns) {
    if (labels[row] == UINT32_MAX) {
      memset(out, 0, columns * sizeof *out);
      continue;
    }
    ck_softmax_row(out, logits, columns, 1.0f);
    for (size_t i = 0; i < columns; i++) out[i] *= scale;
    out[labels[row]] -= scale;
  }
}

CK_CLONES void ck_dropout_f32(
    float *out, const float *x, size_t rows, size_t columns, const ck_dropout *dropout,
    uint64_t first, uint64_t step) {
  const uint32_t threshold = dropout->threshold;
  const float kept = dropout->scale;
  for (size_t row = 0; row < rows; row++, out += columns, x += columns) {
    const uint64_t key = ck_dropout_key(dropout, first + row * step);
    for (size_t i = 0; i < columns; i++) {
      out[i] = ck_dropout_bits(key, (uint32_t)i) < threshold ? 0.0f : x[i] * kept;
    }
  }
}
