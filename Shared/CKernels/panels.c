#include "ck_internal.h"

// Products by panels, after Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008: b is copied to panels as wide as a tile, which lie in the second-level
// cache; the rows of a tile and its sums stay in the first level and in registers. Rows of a are
// read where they lie, columns are copied too.

#if defined(__x86_64__)

// The part of k that is summed at once: 16 rows and a panel of it fit the first-level cache.
enum { CK_DEPTH = 384 };

// Rows of a transposed a that are copied at once: whole cache lines, and whole tiles of 6 and of 8.
enum { CK_STRIP = 48 };

typedef float ck_v4 __attribute__((vector_size(16), aligned(4)));

// out [4, 4] (rows out_stride apart) = the transpose of x [4, 4] (rows x_stride apart).
CK_INLINE void ck_transpose_4x4(float *out, size_t out_stride, const float *x, size_t x_stride) {
  const ck_v4 a = *(const ck_v4 *)x, b = *(const ck_v4 *)(x + x_stride);
  const ck_v4 c = *(const ck_v4 *)(x + 2 * x_stride), d = *(const ck_v4 *)(x + 3 * x_stride);
  const ck_v4 e = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const ck_v4 f = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const ck_v4 g = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const ck_v4 h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(ck_v4 *)out = __builtin_shufflevector(e, f, 0, 1, 4, 5);
  *(ck_v4 *)(out + out_stride) = __builtin_shufflevector(e, f, 2, 3, 6, 7);
  *(ck_v4 *)(out + 2 * out_stride) = __builtin_shufflevector(g, h, 0, 1, 4, 5);
  *(ck_v4 *)(out + 3 * out_stride) = __builtin_shufflevector(g, h, 2, 3, 6, 7);
}

// AVX2: 12 of 16 registers hold sums.
#define CK_NAME(x) ck_panel_v3_##x
#define CK_TARGET __attribute__((target("arch=x86-64-v3")))
#define CK_LANES 8
#define CK_VECTORS 2
#define CK_ROWS 6
#include "panel_template.h"

// AVX-512: 24 of 32; without the second attribute the compiler splits the vectors.
#define CK_NAME(x) ck_panel_v4_##x
#define CK_TARGET __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define CK_LANES 16
#define CK_VECTORS 3
#define CK_ROWS 8
#include "panel_template.h"

int ck_has_product(void) {
  return __builtin_cpu_supports("x86-64-v3") ? 1 : 0;
}

size_t ck_product_scratch(size_t n, size_t k) {
  // Of the larger tile: panels of 48.
  return (CK_STRIP + (n + 47) / 48 * 48) * (k < CK_DEPTH ? k : CK_DEPTH);
}

void ck_product_f32(const ck_product *product, float *scratch) {
  if (__builtin_cpu_supports("x86-64-v4")) {
    ck_panel_v4_product(product, scratch);
  } else {
    ck_panel_v3_product(product, scratch);
  }
}

#else

int ck_has_product(void) { return 0; }

size_t ck_product_scratch(size_t n, size_t k) { return 0; }

void ck_product_f32(const ck_product *product, float *scratch) {}

#endif
