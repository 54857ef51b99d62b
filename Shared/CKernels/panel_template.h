// The panel product for one kind of vectors; included once for each, with
//   CK_NAME(x)   the name of its function x
//   CK_TARGET    the attribute that selects the processor's instructions
//   CK_LANES     floats of a vector
//   CK_VECTORS   vectors of a panel's row
//   CK_ROWS      rows of a tile: CK_ROWS * CK_VECTORS sums stay in registers
#define CK_WIDTH (CK_VECTORS * CK_LANES)
#define CK_UNROLL _Pragma("clang loop unroll(full)")

typedef float CK_NAME(vector) __attribute__((vector_size(4 * CK_LANES), aligned(4)));

// Rows `a`, `a + a_row`, … (only `rows` of them are there; the last stands in for others) times
// the panel, to `out`. Element p of a row is p * a_column after its first.
CK_TARGET CK_INLINE void CK_NAME(tile)(
    float *out, const float *addend, size_t stride, const float *a, size_t a_row, size_t a_column,
    const float *panel, const float *bias, size_t rows, size_t columns, size_t k) {
  const float *source[CK_ROWS];
  CK_UNROLL for (size_t i = 0; i < CK_ROWS; i++) source[i] = a + (i < rows ? i : rows - 1) * a_row;
  CK_NAME(vector) sums[CK_ROWS][CK_VECTORS] = {0};
  for (size_t p = 0; p < k; p++, panel += CK_WIDTH) {
    CK_NAME(vector) row[CK_VECTORS];
    CK_UNROLL for (size_t v = 0; v < CK_VECTORS; v++) {
      row[v] = *(const CK_NAME(vector) *)(panel + v * CK_LANES);
    }
    CK_UNROLL for (size_t i = 0; i < CK_ROWS; i++) {
      const float weight = source[i][p * a_column];
      CK_UNROLL for (size_t v = 0; v < CK_VECTORS; v++) sums[i][v] += weight * row[v];
    }
  }
  if (columns == CK_WIDTH) {
    CK_UNROLL for (size_t i = 0; i < CK_ROWS; i++) {
      if (i < rows) {
        CK_UNROLL for (size_t v = 0; v < CK_VECTORS; v++) {
          const size_t place = i * stride + v * CK_LANES;
          CK_NAME(vector) sum = sums[i][v];
          if (addend) sum += *(const CK_NAME(vector) *)(addend + place);
          if (bias) sum += *(const CK_NAME(vector) *)(bias + v * CK_LANES);
          *(CK_NAME(vector) *)(out + place) = sum;
        }
      }
    }
    return;
  }
  // Copied, so that the sums themselves stay in registers.
  float whole[CK_ROWS][CK_WIDTH];
  CK_UNROLL for (size_t i = 0; i < CK_ROWS; i++) {
    CK_UNROLL for (size_t v = 0; v < CK_VECTORS; v++) {
      *(CK_NAME(vector) *)(whole[i] + v * CK_LANES) = sums[i][v];
    }
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) {
      float sum = whole[i][j];
      if (addend) sum += addend[i * stride + j];
      if (bias) sum += bias[j];
      out[i * stride + j] = sum;
    }
  }
}

// Columns of b as rows of a panel: panel [k, CK_WIDTH], 0 in the columns that are not there.
CK_TARGET CK_INLINE void CK_NAME(pack)(
    float *panel, const float *b, size_t b_row, size_t b_column, size_t columns, size_t k) {
  size_t p = 0;
  if (b_column == 1 && columns == CK_WIDTH) {
    for (; p < k; p++, panel += CK_WIDTH, b += b_row) {
      CK_UNROLL for (size_t v = 0; v < CK_VECTORS; v++) {
        *(CK_NAME(vector) *)(panel + v * CK_LANES) = *(const CK_NAME(vector) *)(b + v * CK_LANES);
      }
    }
    return;
  }
  if (b_row == 1 && columns == CK_WIDTH) {
    for (; p + 4 <= k; p += 4, panel += 4 * CK_WIDTH) {
      for (size_t j = 0; j < CK_WIDTH; j += 4) {
        ck_transpose_4x4(panel + j, CK_WIDTH, b + p + j * b_column, b_column);
      }
    }
  }
  for (; p < k; p++, panel += CK_WIDTH) {
    for (size_t j = 0; j < columns; j++) panel[j] = b[p * b_row + j * b_column];
    for (size_t j = columns; j < CK_WIDTH; j++) panel[j] = 0;
  }
}

// At most CK_STRIP rows of a as columns of narrow matrices: out [rows / CK_ROWS, k, CK_ROWS], the
// last row for those that are not there.
CK_TARGET CK_INLINE void CK_NAME(pack_rows)(
    float *out, const float *a, size_t a_row, size_t a_column, size_t rows, size_t k) {
  if (rows == CK_STRIP && a_row == 1) {
    for (size_t p = 0; p < k; p++, out += CK_ROWS, a += a_column) {
      for (size_t i = 0; i < CK_STRIP; i += CK_ROWS) {
        memcpy(out + i * k, a + i, CK_ROWS * sizeof *out);
      }
    }
    return;
  }
  for (size_t first = 0; first < rows; first += CK_ROWS, out += CK_ROWS * k) {
    for (size_t p = 0; p < k; p++) {
      for (size_t i = 0; i < CK_ROWS; i++) {
        const size_t row = first + i < rows ? first + i : rows - 1;
        out[p * CK_ROWS + i] = a[row * a_row + p * a_column];
      }
    }
  }
}

CK_TARGET static void CK_NAME(product)(const ck_product *product, float *scratch) {
  const ck_product x = *product;
  // Equal parts, so that the last is not a short one.
  const size_t parts = (x.k + CK_DEPTH - 1) / CK_DEPTH;
  const size_t depth = (x.k + parts - 1) / parts;
  float *const packed_rows = scratch;
  float *const panels = scratch + CK_STRIP * depth;
  for (size_t start = 0; start < x.k; start += depth) {
    const size_t k = depth < x.k - start ? depth : x.k - start;
    const float *const addends = start > 0 ? x.out : x.addend;
    const float *bias = start + k == x.k ? x.bias : NULL;
    for (size_t j = 0; j < x.n; j += CK_WIDTH) {
      const size_t columns = x.n - j < CK_WIDTH ? x.n - j : CK_WIDTH;
      const float *b = x.b + start * x.b_row + j * x.b_column;
      CK_NAME(pack)(panels + j * k, b, x.b_row, x.b_column, columns, k);
    }
    for (size_t i = 0; i < x.m; i += CK_ROWS) {
      const size_t rows = x.m - i < CK_ROWS ? x.m - i : CK_ROWS;
      const float *a = x.a + i * x.a_row + start * x.a_column;
      if (x.a_column != 1 && i % CK_STRIP == 0) {
        const size_t strip = x.m - i < CK_STRIP ? x.m - i : CK_STRIP;
        CK_NAME(pack_rows)(packed_rows, a, x.a_row, x.a_column, strip, k);
      }
      for (size_t j = 0; j < x.n; j += CK_WIDTH) {
        const size_t columns = x.n - j < CK_WIDTH ? x.n - j : CK_WIDTH;
        const size_t place = i * x.stride + j;
        const float *addend = addends ? addends + place : NULL;
        const float *panel_bias = bias ? bias + j : NULL;
        if (x.a_column != 1) {
          CK_NAME(tile)(
              x.out + place, addend, x.stride, packed_rows + i % CK_STRIP * k, 1, CK_ROWS,
              panels + j * k, panel_bias, rows, columns, k);
        } else {
          CK_NAME(tile)(
              x.out + place, addend, x.stride, a, x.a_row, 1, panels + j * k, panel_bias, rows,
              columns, k);
        }
      }
    }
  }
}

#undef CK_WIDTH
#undef CK_UNROLL
#undef CK_NAME
#undef CK_TARGET
#undef CK_LANES
#undef CK_VECTORS
#undef CK_ROWS
