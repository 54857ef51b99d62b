// Kernels of the optimizers: one pass over each chunk of the parameters.
//
// Conventions as in ckernels.h. Sums are in double precision and in an order that depends on
// `count` alone, so that results do not depend on the processor or the number of threads.
#ifndef CKERNELS_OPTIMIZERS_H
#define CKERNELS_OPTIMIZERS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/// What one step of Adam or AdamW is for all elements of a chunk.
typedef struct {
  /// Multiplies the gradient: the clip coefficient.
  float gradient_scale;
  /// Times the parameter, is added to the gradient: Adam's coupled decay; 0 for AdamW.
  float coupled_decay;
  /// Multiplies the parameter: AdamW's 1 - rate * decay; 1 for Adam.
  float retained;
  /// 1 - beta1.
  float mean_gain;
  /// beta2.
  float square_retained;
  /// 1 - beta2.
  float square_gain;
  /// rate / (1 - beta1^step).
  float step_size;
  /// 1 / sqrt(1 - beta2^step).
  float root_scale;
  float epsilon;
} ck_adam_step;

/// One step of Adam (Kingma and Ba; the arithmetic of torch.optim.AdamW) and zero gradients; null
/// gradients are 0.
void ck_adam_f32(
    float *_Nonnull values, float *_Nullable gradients, float *_Nonnull mean,
    float *_Nonnull square, size_t count, const ck_adam_step *_Nonnull step);

/// What one step of SGD is for all elements of a chunk.
typedef struct {
  /// Multiplies the gradient: the clip coefficient.
  float gradient_scale;
  /// Times the parameter, is added to the gradient.
  float coupled_decay;
  /// Multiplies the momentum buffer; 0 in the first step.
  float momentum;
  /// Multiplies the gradient that is added to the buffer: 1 - dampening; 1 in the first step.
  float gain;
  /// Of Nesterov: the buffer times this is added to the gradient, which is the direction then; a
  /// negative value takes the buffer itself as the direction.
  float nesterov;
  float rate;
} ck_sgd_step;

/// One step of SGD (the arithmetic of torch.optim.SGD) and zero gradients. Without momentum
/// `buffer` is null.
void ck_sgd_f32(
    float *_Nonnull values, float *_Nonnull gradients, float *_Nullable buffer, size_t count,
    const ck_sgd_step *_Nonnull step);

/// The sum of x[i]^2; not finite if an element is not.
double ck_sum_squares_f32(const float *_Nonnull x, size_t count);
/// The same, with the same bits; is_not_zero[b] = whether block b of `block` elements, a multiple of
/// 16, has one that is not 0.
double ck_sum_squares_blocks_f32(
    const float *_Nonnull x, size_t count, size_t block, uint8_t *_Nonnull is_not_zero);
/// The sum of a[i] * b[i].
double ck_wide_dot_f32(const float *_Nonnull a, const float *_Nonnull b, size_t count);
/// The sum of |x[i]|.
double ck_sum_magnitudes_f32(const float *_Nonnull x, size_t count);
/// The largest |x[i]|; NaN if an element is.
float ck_max_magnitude_f32(const float *_Nonnull x, size_t count);
/// out[i] += scale * x[i].
void ck_add_scaled_f32(float *_Nonnull out, const float *_Nonnull x, float scale, size_t count);
/// out[i] = scale * x[i].
void ck_scale_f32(float *_Nonnull out, const float *_Nonnull x, float scale, size_t count);

#if defined(__cplusplus)
}
#endif
#endif
