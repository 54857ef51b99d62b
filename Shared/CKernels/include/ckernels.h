// Kernels of the executor, in C so that the compiler vectorizes them.
//
// Conventions: all matrices are row-major f32 and dense unless a stride is named; sizes count
// elements; `out` may equal the input of an element-wise kernel and may not overlap otherwise. No
// kernel allocates, blocks or keeps state, so all are safe to call from several threads at once.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "optimizers.h"

#if defined(__cplusplus)
extern "C" {
#endif

/// Tells the processor that this is a spin-wait loop.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// MARK: Processors

/// Writes the numbers of the processors that the calling thread may use, in rising order, and
/// returns how many they are; 0 when the system does not say.
size_t ck_processors_allowed(int32_t *_Nonnull processors, size_t capacity);
/// Keeps the calling thread on one processor. A refusal is ignored: pinning only saves time.
void ck_processors_pin(int32_t processor);

// MARK: Conversion

/// out[i] = the f32 with the upper half x[i].
void ck_convert_bf16_f32(float *_Nonnull out, const uint16_t *_Nonnull x, size_t count);
/// out[i] = x[i] rounded to the nearest bf16, ties to even.
void ck_convert_f32_bf16(uint16_t *_Nonnull out, const float *_Nonnull x, size_t count);
/// out[i] = the IEEE half x[i], subnormals included.
void ck_convert_f16_f32(float *_Nonnull out, const uint16_t *_Nonnull x, size_t count);

// MARK: Element-wise

/// out[i] = a[i] + b[i].
void ck_add_f32(
    float *_Nonnull out, const float *_Nonnull a, const float *_Nonnull b, size_t count);
/// out[i] = a[i] * b[i].
void ck_mul_f32(
    float *_Nonnull out, const float *_Nonnull a, const float *_Nonnull b, size_t count);
/// out[i] = x[i] / (1 + exp(-x[i])).
void ck_silu_f32(float *_Nonnull out, const float *_Nonnull x, size_t count);
/// out[i] = silu(gate[i]) * up[i], the gate of SwiGLU.
void ck_silu_mul_f32(
    float *_Nonnull out, const float *_Nonnull gate, const float *_Nonnull up, size_t count);
/// out[i] = x[i]/2 * (1 + erf(x[i]/sqrt(2))), the exact GELU.
void ck_gelu_f32(float *_Nonnull out, const float *_Nonnull x, size_t count);

// MARK: Rows

/// Each row of x [rows, columns] divided by its root mean square, times weight [columns].
void ck_rms_norm_f32(
    float *_Nonnull out, const float *_Nonnull x, const float *_Nonnull weight, size_t rows,
    size_t columns, float epsilon);
/// Each row of x [rows, columns] to mean 0 and variance 1, times weight plus bias [columns].
void ck_layer_norm_f32(
    float *_Nonnull out, const float *_Nonnull x, const float *_Nonnull weight,
    const float *_Nonnull bias, size_t rows, size_t columns, float epsilon);
/// Softmax of each row of x [rows, columns]; out may equal x.
void ck_softmax_f32(float *_Nonnull out, const float *_Nonnull x, size_t rows, size_t columns);

// MARK: Rotary position embedding

/// out [rows, 2*half]: cos, then sin, of positions[row] * frequencies[i].
void ck_rotary_table_f32(
    float *_Nonnull out, const uint32_t *_Nonnull positions, const float *_Nonnull frequencies,
    size_t rows, size_t half);
/// Rotates each head of x [rows, heads, head_dim] by the row's table [rows, head_dim]: element i
/// pairs with i + head_dim/2 (the layout of Hugging Face's Llama checkpoints).
/// `sign` is 1, or -1 for the opposite angles.
void ck_rope_f32(
    float *_Nonnull out, const float *_Nonnull x, const float *_Nonnull table, size_t rows,
    size_t heads, size_t head_dim, float sign);

// MARK: Products

/// out[n] = bias[n] + sum over k of weight[n, k] * x[k]; weight is [n, k], bias may be null.
void ck_matvec_f32(
    float *_Nonnull out, const float *_Nonnull weight, const float *_Nonnull x,
    const float *_Nullable bias, size_t n, size_t k);
/// out[row, 0..<columns] += bias, for rows `stride` apart.
void ck_add_bias_f32(
    float *_Nonnull out, const float *_Nonnull bias, size_t rows, size_t columns, size_t stride);

/// A product: out [m, n] = a [m, k] times b [k, n], plus addend [m, n] and bias [n] unless they are
/// null. Rows of out and of addend, which may be out itself, are `stride` apart. Element (i, p) of a
/// is a[i * a_row + p * a_column], element (p, j) of b is b[p * b_row + j * b_column]; of both
/// strides of a matrix one is 1.
typedef struct {
  float *_Nonnull out;
  size_t stride;
  const float *_Nonnull a;
  size_t a_row;
  size_t a_column;
  const float *_Nonnull b;
  size_t b_row;
  size_t b_column;
  const float *_Nullable bias;
  const float *_Nullable addend;
  size_t m;
  size_t n;
  size_t k;
} ck_product;

/// Whether `ck_product_f32` knows the vectors of this processor.
int ck_has_product(void);
/// Elements of scratch for a product with b [k, n].
size_t ck_product_scratch(size_t n, size_t k);
/// Computes the product; worth its copy of b from some tens of rows on. Each element is summed in
/// the order of k, whatever the tile it is in.
void ck_product_f32(const ck_product *_Nonnull product, float *_Nonnull scratch);

// MARK: Dropout

/// What selects a mask: element (row, column) is dropped when its hash is below `threshold`.
typedef struct {
  uint64_t seed;
  uint32_t stream;
  /// The probability times 2^32.
  uint32_t threshold;
  /// What kept elements are multiplied by: 1 / (1 - probability).
  float scale;
} ck_dropout;

/// out [rows, columns] = x with dropout; row r of the mask is first + r * step. out may equal x.
void ck_dropout_f32(
    float *_Nonnull out, const float *_Nonnull x, size_t rows, size_t columns,
    const ck_dropout *_Nonnull dropout, uint64_t first, uint64_t step);

// MARK: Attention

/// One query head against `length` positions: out [head_dim] = softmax(scale * q . keys) . values.
/// Position p of keys and values starts `stride` elements after position p-1. `scores` is scratch
/// of `length` elements.
void ck_attention_row_f32(
    float *_Nonnull out, const float *_Nonnull query, const float *_Nonnull keys,
    const float *_Nonnull values, size_t stride, size_t length, size_t head_dim, float scale,
    float *_Nonnull scores);
/// In place: row r of scores [rows, columns] becomes softmax(scale * row) over its first
/// `visible + r * step` elements (at most columns), and 0 after them. step 1 is the causal mask,
/// step 0 none.
void ck_masked_softmax_f32(
    float *_Nonnull scores, size_t rows, size_t columns, size_t visible, size_t step, float scale);

/// In place, for a block of rows of one head: p [rows, columns] (softmax probabilities) becomes p
/// with dropout; dp (the gradient of p with dropout) becomes the gradient of the scores before
/// `scale`. Row r of the mask is first + r * step; `dropout` may be null.
void ck_attention_gradient_f32(
    float *_Nonnull p, float *_Nonnull dp, size_t rows, size_t columns, float scale,
    const ck_dropout *_Nullable dropout, uint64_t first, uint64_t step);

// MARK: Small products

/// out [m, n] (rows out_stride apart) = a [m, k] times b [k, n] (rows b_stride apart), added to out
/// if `accumulates`; element (i, p) of a is a[i * a_row + p * a_column]. For operands that fit the
/// first-level cache; fastest for n a multiple of 16.
void ck_small_product_f32(
    float *_Nonnull out, size_t out_stride, const float *_Nonnull a, size_t a_row, size_t a_column,
    const float *_Nonnull b, size_t b_stride, size_t m, size_t n, size_t k, int accumulates);
/// out [columns, out_stride] = the transpose of x [rows, columns] (rows x_stride apart), 0 in the
/// columns from `rows` on.
void ck_transpose_f32(
    float *_Nonnull out, size_t out_stride, const float *_Nonnull x, size_t x_stride, size_t rows,
    size_t columns);

// MARK: Gradients

/// out[i] = (accumulates ? out[i] : 0) + the sum over the rows of x [rows, columns], first to last.
void ck_sum_rows_f32(
    float *_Nonnull out, const float *_Nonnull x, size_t rows, size_t columns, int accumulates);
/// out[i] += x[i].
void ck_accumulate_f32(float *_Nonnull out, const float *_Nonnull x, size_t count);
/// out[i] = g[i] * silu'(x[i]), times up[i] unless it is null.
void ck_silu_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull x,
    const float *_Nullable up, size_t count);
/// out[i] = g[i] * gelu'(x[i]).
void ck_gelu_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull x, size_t count);
/// out[i] = tanh(x[i]).
void ck_tanh_f32(float *_Nonnull out, const float *_Nonnull x, size_t count);
/// out[i] = g[i] * (1 - y[i]^2), the gradient of tanh by its output y.
void ck_tanh_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull y, size_t count);
/// The gradient of a row-wise softmax by its output y; all [rows, columns].
void ck_softmax_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull y, size_t rows,
    size_t columns);
/// The gradient of the x of layerNorm (`is_centered`) or rmsNorm; g, x, out [rows, columns], weight
/// [columns].
void ck_norm_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull x,
    const float *_Nonnull weight, size_t rows, size_t columns, float epsilon, int is_centered);
/// out [columns] = (accumulates ? out : 0) + the gradient of a norm's weight.
void ck_norm_weight_gradient_f32(
    float *_Nonnull out, const float *_Nonnull g, const float *_Nonnull x, size_t rows,
    size_t columns, float epsilon, int is_centered, int accumulates);
/// losses [rows] = -log softmax(logits [rows, columns])[label], 0 for the label UINT32_MAX.
void ck_cross_entropy_f32(
    float *_Nonnull losses, const float *_Nonnull logits, const uint32_t *_Nonnull labels,
    size_t rows, size_t columns);
/// out [rows, columns] = scale * (softmax(logits) - one-hot label), 0 for the label UINT32_MAX.
void ck_cross_entropy_gradient_f32(
    float *_Nonnull out, const float *_Nonnull logits, const uint32_t *_Nonnull labels,
    size_t rows, size_t columns, float scale);

#if defined(__cplusplus)
}
#endif
#endif
