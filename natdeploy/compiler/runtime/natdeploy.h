/* natdeploy: the C interface of a compiled model (libmodel.so, libmodel.a).
 *
 * A model is read-only data inside the library: kernels, packed weights, a plan. An instance is what runs it: its own
 * arena of activations, nothing shared with other instances, so that each thread may have one. There is no global
 * state, no environment variable is read, nothing is printed. C11; needs libc and POSIX threads only.
 *
 *     natdeploy_instance *instance;
 *     if (natdeploy_create(natdeploy_default_model(), 1, &instance) != NATDEPLOY_OK) ...
 *     const void *inputs[] = {image};   void *outputs[] = {logits};
 *     if (natdeploy_run(instance, inputs, outputs) != NATDEPLOY_OK) puts(natdeploy_last_error(instance));
 *     natdeploy_destroy(instance);
 */
#ifndef NATDEPLOY_H
#define NATDEPLOY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with every change of the functions below; 2 came with natdeploy_call_count, _call_name and _time_calls. */
#define NATDEPLOY_INTERFACE_VERSION 2

#define NATDEPLOY_API __attribute__((visibility("default")))

/* Status of every call that can fail; natdeploy_opencl.h has more. */
enum {
  NATDEPLOY_OK = 0,
  NATDEPLOY_BAD_ARGUMENT = 1,  /* a null pointer, or a number out of range */
  NATDEPLOY_NO_MEMORY = 2,     /* no memory for the arena, or none for a thread */
  NATDEPLOY_KERNEL_FAILED = 3, /* a kernel refused its arguments: the library is damaged */
  NATDEPLOY_NO_CLOCK = 4,      /* the system's monotonic clock cannot be read */
  NATDEPLOY_NO_THREADS = 5     /* more threads than the model has work for */
};

/* Element types. */
enum { NATDEPLOY_FLOAT32 = 0, NATDEPLOY_INT64 = 1, NATDEPLOY_INT32 = 2, NATDEPLOY_UINT8 = 3, NATDEPLOY_BOOL = 4 };

/* What a model takes or gives: dense, row-major. The strings and numbers live as long as the library. */
typedef struct {
  const char *name;
  int32_t dtype;
  int32_t ndim;
  const int64_t *shape;
  uint64_t bytes;
} natdeploy_tensor;

typedef struct natdeploy_model natdeploy_model;
typedef struct natdeploy_instance natdeploy_instance;

/* NATDEPLOY_INTERFACE_VERSION of the library, to be compared with the header's. */
NATDEPLOY_API int natdeploy_interface_version(void);

/* The model inside this library. */
NATDEPLOY_API const natdeploy_model *natdeploy_default_model(void);

NATDEPLOY_API int natdeploy_input_count(const natdeploy_model *model);
NATDEPLOY_API int natdeploy_output_count(const natdeploy_model *model);
/* Null where the index is out of range. */
NATDEPLOY_API const natdeploy_tensor *natdeploy_input(const natdeploy_model *model, int index);
NATDEPLOY_API const natdeploy_tensor *natdeploy_output(const natdeploy_model *model, int index);
/* Bytes of activations that each instance allocates, and of packed weights that all share. */
NATDEPLOY_API uint64_t natdeploy_arena_bytes(const natdeploy_model *model);
NATDEPLOY_API uint64_t natdeploy_constant_bytes(const natdeploy_model *model);
/* The steps of the plan, in order of execution, and the name of the layer that each computes. */
NATDEPLOY_API int natdeploy_call_count(const natdeploy_model *model);
NATDEPLOY_API const char *natdeploy_call_name(const natdeploy_model *model, int index);

/* The most threads that an instance may have; 1 where no kernel's work can be split. */
NATDEPLOY_API int natdeploy_max_threads(const natdeploy_model *model);

/* Make an instance that runs on `threads` threads, the caller's included; outputs do not depend on their number. It
 * computes one run at a time. On failure *instance is null. */
NATDEPLOY_API int natdeploy_create(const natdeploy_model *model, int threads, natdeploy_instance **instance);

/* Compute all outputs from all inputs, in the order of their indices. Buffers need no alignment. Numbers that are not 0
 * but below float32's normal range count as 0. */
NATDEPLOY_API int natdeploy_run(natdeploy_instance *instance, const void *const *inputs, void *const *outputs);

/* Run `repeats` times and write each run's wall-clock milliseconds, copies of inputs and outputs included. */
NATDEPLOY_API int natdeploy_time(natdeploy_instance *instance, const void *const *inputs, void *const *outputs,
                                 int repeats, double *milliseconds);

/* Run once and write the milliseconds of each call of the plan (natdeploy_call_count of them). */
NATDEPLOY_API int natdeploy_time_calls(natdeploy_instance *instance, const void *const *inputs, void *const *outputs,
                                       double *milliseconds);

/* Free an instance; null is ignored. */
NATDEPLOY_API void natdeploy_destroy(natdeploy_instance *instance);

/* What a status means; and what went wrong last in an instance ("" when nothing did). Never null. */
NATDEPLOY_API const char *natdeploy_status_text(int status);
NATDEPLOY_API const char *natdeploy_last_error(const natdeploy_instance *instance);

#ifdef __cplusplus
}
#endif
#endif
