#include "include/ckernels.h"

#include "ck_internal.h"

CK_INLINE void adam(
    float *restrict values, float *restrict gradients, float *restrict mean,
    float *restrict square, size_t count, const ck_adam_step *step, int has_gradients) {
  const ck_adam_step s = *step;
  for (size_t i = 0; i < count; i++) {
    const float own = has_gradients ? gradients[i] : 0.0f;
    const float g = own * s.gradient_scale + values[i] * s.coupled_decay;
    const float m = mean[i] + s.mean_gain * (g - mean[i]);
    const float v = square[i] * s.square_retained + s.square_gain * g * g;
    // Not sqrtf, which may set errno and so is not vectorized.
    const float root = __builtin_elementwise_sqrt(v) * s.root_scale + s.epsilon;
    values[i] = values[i] * s.retained - s.step_size * (m / root);
    mean[i] = m;
    square[i] = v;
    if (has_gradients) gradients[i] = 0;
  }
}

CK_CLONES void ck_adam_f32(
    float *values, float *gradients, float *mean, float *square, size_t count,
    const ck_adam_step *step) {
  if (gradients) {
    adam(values, gradients, mean, square, count, step, 1);
  } else {
    adam(values, NULL, mean, square, count, step, 0);
  }
}

CK_CLONES static void sgd_with_momentum(
    float *restrict values, float *restrict gradients, float *restrict buffer, size_t count,
    const ck_sgd_step *step) {
  const ck_sgd_step s = *step;
  // Both kinds in one expression: nesterov < 0 drops the gradient and takes the buffer once.
  const float own = s.nesterov < 0 ? 0.0f : 1.0f;
  const float past = s.nesterov < 0 ? 1.0f : s.nesterov;
  for (size_t i = 0; i < count; i++) {
    const float g = gradients[i] * s.gradient_scale + values[i] * s.coupled_decay;
    const float b = buffer[i] * s.momentum + g * s.gain;
    values[i] -= s.rate * (own * g + past * b);
    buffer[i] = b;
    gradients[i] = 0;
  }
}

CK_CLONES static void sgd_plain(
    float *restrict values, float *restrict gradients, size_t count, const ck_sgd_step *step) {
  const ck_sgd_step s = *step;
  for (size_t i = 0; i < count; i++) {
    values[i] -= s.rate * (gradients[i] * s.gradient_scale + values[i] * s.coupled_decay);
    gradients[i] = 0;
  }
}

void ck_sgd_f32(
    float *values, float *gradients, float *buffer, size_t count, const ck_sgd_step *step) {
  if (buffer) {
    sgd_with_momentum(values, gradients, buffer, count, step);
  } else {
    sgd_plain(values, gradients, count, step);
  }
}

// Sums go to a fixed number of lanes, whatever the width of the processor's vectors: the order of
// the additions, and so the result, is the same everywhere.
enum { LANES = 16 };

CK_INLINE double sum_of_lanes(const double *lanes) {
  double sum = 0;
  for (size_t j = 0; j < LANES; j++) sum += lanes[j];
  return sum;
}

CK_CLONES double ck_sum_squares_f32(const float *x, size_t count) {
  double lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (size_t j = 0; j < LANES; j++) lanes[j] += (double)x[i + j] * (double)x[i + j];
  }
  for (; i < count; i++) lanes[0] += (double)x[i] * (double)x[i];
  return sum_of_lanes(lanes);
}

CK_CLONES double ck_sum_squares_blocks_f32(
    const float *x, size_t count, size_t block, uint8_t *is_not_zero) {
  double lanes[LANES] = {0};
  for (size_t start = 0; start < count; start += block) {
    const size_t end = count - start < block ? count : start + block;
    uint32_t bits = 0;
    for (size_t i = start; i < end; i++) bits |= ck_f32_to_bits(x[i]) & 0x7fffffffu;
    *is_not_zero++ = bits != 0;
    // Their squares would not change the sums.
    if (bits == 0) continue;
    size_t i = start;
    for (; i + LANES <= end; i += LANES) {
      for (size_t j = 0; j < LANES; j++) lanes[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (; i < end; i++) lanes[0] += (double)x[i] * (double)x[i];
  }
  return sum_of_lanes(lanes);
}

CK_CLONES double ck_wide_dot_f32(const float *a, const float *b, size_t count) {
  double lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (size_t j = 0; j < LANES; j++) lanes[j] += (double)a[i + j] * (double)b[i + j];
  }
  for (; i < count; i++) lanes[0] += (double)a[i] * (double)b[i];
  return sum_of_lanes(lanes);
}

CK_CLONES double ck_sum_magnitudes_f32(const float *x, size_t count) {
  double lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (size_t j = 0; j < LANES; j++) lanes[j] += (double)fabsf(x[i + j]);
  }
  for (; i < count; i++) lanes[0] += (double)fabsf(x[i]);
  return sum_of_lanes(lanes);
}

CK_CLONES float ck_max_magnitude_f32(const float *x, size_t count) {
  // The bits of magnitudes are ordered as the magnitudes are, NaN above infinity.
  uint32_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = ck_f32_to_bits(x[i]) & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  return ck_bits_to_f32(largest);
}

CK_CLONES void ck_add_scaled_f32(float *out, const float *x, float scale, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += scale * x[i];
}

CK_CLONES void ck_scale_f32(float *out, const float *x, float scale, size_t count) {
  if (out == x) {
    // By itself, or the compiler's check for overlap would choose the scalar loop.
    for (size_t i = 0; i < count; i++) out[i] *= scale;
    return;
  }
  for (size_t i = 0; i < count; i++) out[i] = scale * x[i];
}
