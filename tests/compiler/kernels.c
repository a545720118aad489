/* Kernels in TVM's calling convention, written by hand: threads may share the rows of the first. */
#include "tvm_abi.h"

#define KERNEL __attribute__((visibility("default"))) int

static const abi_tensor *tensor(const abi_value *value) { return value->value.v_ptr; }

/* y[r][c] = sum of x[r][k] * w[k][c]. Refuses rows that begin with a number that is not one. */
KERNEL __tvm_ffi_rows(void *self, const abi_value *arguments, int32_t count, abi_value *result) {
  (void)self, (void)result;
  if (count != 5 || arguments[3].tag != ABI_TAG_INT || arguments[4].tag != ABI_TAG_INT) return -1;
  const float *x = tensor(&arguments[0])->data, *w = tensor(&arguments[1])->data;
  float *y = tensor(&arguments[2])->data;
  int64_t columns = tensor(&arguments[0])->shape[1];
  for (int64_t r = arguments[3].value.v_int64; r < arguments[4].value.v_int64; r++) {
    if (x[r * columns] != x[r * columns]) return -1;
    for (int64_t c = 0; c < columns; c++) {
      float sum = 0;
      for (int64_t k = 0; k < columns; k++) sum += x[r * columns + k] * w[k * columns + c];
      y[r * columns + c] = sum;
    }
  }
  return 0;
}

/* y[c] = sum of x[r][c] over all rows. */
KERNEL __tvm_ffi_sum(void *self, const abi_value *arguments, int32_t count, abi_value *result) {
  (void)self, (void)result;
  if (count != 2) return -1;
  const abi_tensor *x = tensor(&arguments[0]);
  float *y = tensor(&arguments[1])->data;
  for (int64_t c = 0; c < x->shape[1]; c++) {
    y[c] = 0;
    for (int64_t r = 0; r < x->shape[0]; r++) y[c] += ((const float *)x->data)[r * x->shape[1] + c];
  }
  return 0;
}
