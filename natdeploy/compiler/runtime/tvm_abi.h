/* The part of TVM's calling convention that compiled kernels use (TVM FFI 0.1.14, DLPack 1): a kernel is a C function
 * on an array of tagged values, each a pointer to a DLTensor. Own definitions, so that an artifact needs no TVM header;
 * a test compiles them against TVM's.
 */
#ifndef NATDEPLOY_TVM_ABI_H
#define NATDEPLOY_TVM_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { ABI_DEVICE_CPU = 1, ABI_TAG_INT = 1, ABI_TAG_TENSOR = 7 };

/* code: 0 signed, 1 unsigned, 2 float, 6 bool */
typedef struct { uint8_t code, bits; uint16_t lanes; } abi_dtype;

typedef struct {
  void *data;
  int32_t device_type, device_id, ndim;
  abi_dtype dtype;
  const int64_t *shape, *strides;
  uint64_t byte_offset;
} abi_tensor;

typedef struct { int32_t tag; uint32_t zero; union { int64_t v_int64; void *v_ptr; } value; } abi_value;

typedef int (*abi_kernel)(void *self, const abi_value *arguments, int32_t count, abi_value *result);

_Static_assert(sizeof(abi_value) == 16 && offsetof(abi_value, value) == 8, "layout of TVMFFIAny");
_Static_assert(offsetof(abi_tensor, shape) == sizeof(void *) + 16, "layout of DLTensor");
_Static_assert(sizeof(void *) != 8 || sizeof(abi_tensor) == 48, "layout of DLTensor");

#endif
