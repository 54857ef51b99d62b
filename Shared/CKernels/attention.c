#include "ck_internal.h"

CK_CLONES void ck_attention_row_f32(
    float *out, const float *query, const float *keys, const float *values, size_t stride,
    size_t length, size_t head_dim, float scale, float *scores) {
  CK_REASSOCIATE
  for (size_t position = 0; position < length; position++) {
    const float *key = keys + position * stride;
    float sum = 0;
    for (size_t i = 0; i < head_dim; i++) sum += query[i] * key[i];
    scores[position] = sum;
  }
  ck_softmax_row(scores, scores, length, scale);
  for (size_t i = 0; i < head_dim; i++) out[i] = 0;
  for (size_t position = 0; position < length; position++) {
    const float *value = values + position * stride;
    const float weight = scores[position];
    for (size_t i = 0; i < head_dim; i++) out[i] += weight * value[i];
  }
}

CK_CLONES void ck_masked_softmax_f32(
    float *scores, size_t rows, size_t columns, size_t visible, size_t step, float scale) {
  for (size_t row = 0; row < rows; row++, scores += columns, visible += step) {
    const size_t count = visible < columns ? visible : columns;
    ck_softmax_row(scores, scores, count, scale);
    for (size_t i = count; i < columns; i++) scores[i] = 0;
  }
}

CK_CLONES void ck_attention_gradient_f32(
    float *p, float *dp, size_t rows, size_t columns, float scale, const ck_dropout *dropout,
    uint64_t first, uint64_t step) {
  CK_REASSOCIATE
  for (size_t row = 0; row < rows; row++, p += columns, dp += columns) {
    float sum = 0;
    if (!dropout) {
      for (size_t i = 0; i < columns; i++) sum += p[i] * dp[i];
      for (size_t i = 0; i < columns; i++) dp[i] = p[i] * (dp[i] - sum) * scale;
      continue;
    }
    const uint64_t key = ck_dropout_key(dropout, first + row * step);
    const uint32_t threshold = dropout->threshold;
    const float kept = dropout->scale;
    for (size_t i = 0; i < columns; i++) {
      dp[i] *= ck_dropout_bits(key, (uint32_t)i) < threshold ? 0.0f : kept;
      sum += p[i] * dp[i];
    }
    for (size_t i = 0; i < columns; i++) dp[i] = p[i] * (dp[i] - sum) * scale;
    for (size_t i = 0; i < columns; i++) {
      p[i] *= ck_dropout_bits(key, (uint32_t)i) < threshold ? 0.0f : kept;
    }
  }
}
