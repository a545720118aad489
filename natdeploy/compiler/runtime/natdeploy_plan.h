/* A plan as read-only data: what the generated model.c holds and natdeploy_runtime.c runs. Not for callers. */
#ifndef NATDEPLOY_PLAN_H
#define NATDEPLOY_PLAN_H

#include "natdeploy.h"
#include "tvm_abi.h"

/* Where an argument lives: at an offset in the instance's arena, or in the model's constants. */
enum { PLAN_ARENA = 0, PLAN_CONSTANT = 1 };
/* The most arguments of a kernel. */
enum { PLAN_MAX_ARGUMENTS = 16 };

typedef struct {
  uint64_t offset;
  const int64_t *shape;
  const int64_t *strides; /* in elements */
  int32_t ndim;
  uint8_t space, dtype; /* PLAN_ARENA ..., NATDEPLOY_FLOAT32 ... */
} plan_argument;

typedef struct {
  abi_kernel kernel;
  const char *name; /* of the layer */
  const char *kernel_name;
  int32_t first_argument, argument_count;
  int32_t parts; /* above 1, the kernel also takes which of them to do: the first, and the one after the last */
} plan_call;

typedef struct { natdeploy_tensor description; uint64_t offset; /* in the arena */ } plan_port;

struct natdeploy_model {
  uint64_t arena_bytes, constant_bytes;
  const unsigned char *constants; /* aligned to 64 bytes */
  const plan_port *inputs, *outputs;
  const plan_call *calls;
  const plan_argument *arguments;
  int32_t input_count, output_count, call_count, argument_count, max_parts; /* the last of any call */
};

#endif
