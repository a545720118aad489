/* One function for a TVM RPC server: a command line for the shell of the device that it runs on.
 *
 * Compiled without a C library, so that one file serves every Linux of a processor, Android included; system() is the
 * server process's own. TVM's calling convention (TVM FFI 0.1.14): an array of tagged values, a tensor as a DLTensor. */
#include <stdint.h>

enum { TAG_INT = 1, TAG_TENSOR = 7 };

typedef struct {
  void *data;
  int32_t device_type, device_id, ndim;
  uint8_t code, bits;
  uint16_t lanes;
  const int64_t *shape, *strides;
  uint64_t byte_offset;
} tensor;

typedef struct {
  int32_t tag;
  uint32_t zero;
  union {
    int64_t integer;
    void *pointer;
  } value;
} any;

extern int system(const char *command);

/* A tensor of bytes that ends with 0 in, what system() says out; -1 for anything else. */
__attribute__((visibility("default"))) int __tvm_ffi_natdeploy_shell(void *self, const any *arguments, int32_t count,
                                                                     any *result) {
  (void)self;
  result->tag = TAG_INT;
  result->zero = 0;
  result->value.integer = -1;
  if (count != 1 || arguments[0].tag != TAG_TENSOR) return 0;
  const tensor *command = arguments[0].value.pointer;
  result->value.integer = system((const char *)command->data + command->byte_offset);
  return 0;
}
