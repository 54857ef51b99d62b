// Kernels of the executor, in C so that the compiler vectorizes them.
//
// Conventions: all matrices are row-major f32 and dense unless a stride is named; sizes count
// elements; `out` may equal the input of an element-wise kernel and may not overlap otherwise. No
// kernel allocates, blocks or keeps state, so all are safe to call from several threads at once.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

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
void ck_rope_f32(
    float *_Nonnull out, const float *_Nonnull x, const float *_Nonnull table, size_t rows,
    size_t heads, size_t head_dim);

// MARK: Products

/// out[n] = bias[n] + sum over k of weight[n, k] * x[k]; weight is [n, k], bias may be null.
void ck_matvec_f32(
    float *_Nonnull out, const float *_Nonnull weight, const float *_Nonnull x,
    const float *_Nullable bias, size_t n, size_t k);
/// out[row, 0..<columns] += bias, for rows `stride` apart.
void ck_add_bias_f32(
    float *_Nonnull out, const float *_Nonnull bias, size_t rows, size_t columns, size_t stride);

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

#if defined(__cplusplus)
}
#endif
#endif
