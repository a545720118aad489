/* Runs a plan: one arena per instance, one kernel call after another. See natdeploy.h. */
#define _POSIX_C_SOURCE 200809L

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "natdeploy_plan.h"
#include "natdeploy_pool.h"

/* A thread takes its share of a call in this many pieces, and what others have left of theirs when it is done. */
enum { ALIGNMENT = 64, MESSAGE_BYTES = 256, PIECES = 8 };

struct natdeploy_instance {
  const natdeploy_model *model;
  unsigned char *arena;
  abi_tensor *tensors; /* one for each argument of each call */
  abi_value *values;   /* the same, as kernels take them */
  pool *pool;          /* null where the caller's thread does everything */
  atomic_int *taken;   /* of each thread's share of the call that is being computed: parts that somebody does */
  int threads;
  char message[MESSAGE_BYTES];
};

/* What TVM's code expects of its runtime. The pointers are constants here; hidden, so that two libraries in one process
 * never see each other's. Kernels run on the calling thread. */
static int run_serially(int (*task)(int, void *, void *), void *data, int tasks) {
  struct { void *sync; int32_t tasks; } environment = {NULL, 1};
  (void)tasks;
  return task(0, &environment, data);
}

static void *allocate_workspace(int device_type, int device_id, uint64_t bytes, int dtype_code, int dtype_bits) {
  (void)device_type, (void)device_id, (void)dtype_code, (void)dtype_bits;
  if (bytes > SIZE_MAX - ALIGNMENT) return NULL;
  return aligned_alloc(ALIGNMENT, ((size_t)bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static int free_workspace(int device_type, int device_id, void *memory) {
  (void)device_type, (void)device_id;
  free(memory);
  return 0;
}

#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN int (*__TVMBackendParallelLaunch)(int (*)(int, void *, void *), void *, int) = run_serially;
HIDDEN void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate_workspace;
HIDDEN int (*__TVMBackendFreeWorkspace)(int, int, void *) = free_workspace;

/* A kernel says why it refuses its arguments. It has no way to say which instance called it, so the status and the
 * kernel's name are what the caller gets. */
HIDDEN void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  (void)kind, (void)parts, (void)count;
}

/* By NATDEPLOY_FLOAT32 ... */
static const abi_dtype ELEMENTS[] = {{2, 32, 1}, {0, 64, 1}, {0, 32, 1}, {1, 8, 1}, {6, 8, 1}};

int natdeploy_create(const natdeploy_model *model, int threads, natdeploy_instance **result) {
  if (!result) return NATDEPLOY_BAD_ARGUMENT;
  *result = NULL;
  if (!model || threads < 1) return NATDEPLOY_BAD_ARGUMENT;
  if (threads > model->max_parts) return NATDEPLOY_NO_THREADS;
  natdeploy_instance *instance = calloc(1, sizeof *instance);
  if (!instance) return NATDEPLOY_NO_MEMORY;
  size_t count = (size_t)model->argument_count;
  instance->model = model;
  instance->arena = allocate_workspace(ABI_DEVICE_CPU, 0, model->arena_bytes, 0, 0);
  instance->tensors = calloc(count + 1, sizeof *instance->tensors);
  instance->values = calloc(count + 1, sizeof *instance->values);
  instance->taken = calloc((size_t)threads, sizeof *instance->taken);
  instance->threads = threads;
  if (threads > 1) instance->pool = pool_create(threads);
  if (!instance->arena || !instance->taken || !instance->tensors || !instance->values ||
      (threads > 1 && !instance->pool)) {
    natdeploy_destroy(instance);
    return NATDEPLOY_NO_MEMORY;
  }
  memset(instance->arena, 0, (size_t)model->arena_bytes); /* pages are touched now, not in the first run */
  for (size_t i = 0; i < count; i++) {
    const plan_argument *argument = &model->arguments[i];
    abi_tensor *tensor = &instance->tensors[i];
    /* Kernels only read constants; the convention has no const pointer for them. */
    unsigned char *memory = argument->space == PLAN_ARENA ? instance->arena : (void *)(uintptr_t)model->constants;
    *tensor = (abi_tensor){memory + argument->offset, ABI_DEVICE_CPU, 0, argument->ndim, ELEMENTS[argument->dtype],
                           argument->shape, argument->strides, 0};
    instance->values[i] = (abi_value){ABI_TAG_TENSOR, 0, {.v_ptr = tensor}};
  }
  *result = instance;
  return NATDEPLOY_OK;
}

static int fail(natdeploy_instance *instance, int status, const char *detail, const char *name) {
  snprintf(instance->message, sizeof instance->message, "%s: %s%s%s", natdeploy_status_text(status), detail,
           name ? " " : "", name ? name : "");
  return status;
}

static int now_ms(double *milliseconds) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time)) return 0;
  *milliseconds = (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
  return 1;
}

/* Denormal numbers take processors a hundred times longer than others. Kernels run in a mode that takes them for zero;
 * the caller's own mode comes back afterwards. 32-bit ARM's vectors always do so. */
#if defined(__x86_64__)
enum { FLUSH = 0x8040 };
static uint64_t float_mode(void) { return __builtin_ia32_stmxcsr(); }
static void set_float_mode(uint64_t mode) { __builtin_ia32_ldmxcsr((unsigned)mode); }
#elif defined(__aarch64__)
enum { FLUSH = 1 << 24 };
static uint64_t float_mode(void) { uint64_t mode; __asm__ volatile("mrs %0, fpcr" : "=r"(mode)); return mode; }
static void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
enum { FLUSH = 0 };
static uint64_t float_mode(void) { return 0; }
static void set_float_mode(uint64_t mode) { (void)mode; }
#endif

static int call_kernel(const plan_call *call, const abi_value *values, int count) {
  abi_value result = {0};
  uint64_t before = float_mode();
  set_float_mode(before | FLUSH);
  int status = call->kernel(NULL, values, count, &result);
  set_float_mode(before);
  return status;
}

/* The parts of a call from the first to before the end. */
static int call_parts(const plan_call *call, const abi_value *values, int first, int end) {
  int count = call->argument_count;
  if (call->parts == 1) return call_kernel(call, values, count);
  abi_value extended[PLAN_MAX_ARGUMENTS + 2];
  memcpy(extended, values, (size_t)count * sizeof *values);
  extended[count++] = (abi_value){ABI_TAG_INT, 0, {.v_int64 = first}};
  extended[count++] = (abi_value){ABI_TAG_INT, 0, {.v_int64 = end}};
  return call_kernel(call, extended, count);
}

typedef struct {
  const plan_call *call;
  const abi_value *values;
  atomic_int *taken, failed;
} shared_call;

/* Neighbouring parts for each thread, because they share data; but none waits for one that has lost its processor. */
static void run_share(void *data, int thread, int threads) {
  shared_call *shared = data;
  int64_t parts = shared->call->parts;
  for (int i = 0; i < threads; i++) {
    int owner = (thread + i) % threads;
    int first = (int)(parts * owner / threads), end = (int)(parts * (owner + 1) / threads);
    int piece = (end - first + PIECES - 1) / PIECES, at;
    while (first < end && (at = first + atomic_fetch_add(&shared->taken[owner], piece)) < end)
      if (call_parts(shared->call, shared->values, at, at + piece < end ? at + piece : end))
        atomic_store(&shared->failed, 1);
  }
}

static int run_call(const natdeploy_instance *instance, const plan_call *call) {
  const abi_value *values = instance->values + call->first_argument;
  if (!instance->pool || call->parts == 1) return call_parts(call, values, 0, call->parts);
  shared_call shared = {call, values, instance->taken, 0};
  for (int i = 0; i < instance->threads; i++) atomic_store_explicit(&shared.taken[i], 0, memory_order_relaxed);
  pool_run(instance->pool, run_share, &shared);
  return atomic_load(&shared.failed);
}

/* Run the plan; milliseconds of each call where wanted. */
static int run(natdeploy_instance *instance, const void *const *inputs, void *const *outputs, double *call_ms) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  const natdeploy_model *model = instance->model;
  if (!inputs || !outputs) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "inputs or outputs are null", NULL);
  for (int i = 0; i < model->input_count; i++) {
    const plan_port *port = &model->inputs[i];
    if (!inputs[i]) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no data for input", port->description.name);
    memcpy(instance->arena + port->offset, inputs[i], (size_t)port->description.bytes);
  }
  for (int i = 0; i < model->output_count; i++)
    if (!outputs[i])
      return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no room for output", model->outputs[i].description.name);
  double start = 0, end = 0;
  if (call_ms && !now_ms(&start)) return fail(instance, NATDEPLOY_NO_CLOCK, "before the first call", NULL);
  for (int i = 0; i < model->call_count; i++) {
    const plan_call *call = &model->calls[i];
    if (run_call(instance, call)) return fail(instance, NATDEPLOY_KERNEL_FAILED, call->kernel_name, call->name);
    if (call_ms) {
      if (!now_ms(&end)) return fail(instance, NATDEPLOY_NO_CLOCK, "after", call->name);
      call_ms[i] = end - start;
      start = end;
    }
  }
  for (int i = 0; i < model->output_count; i++)
    memcpy(outputs[i], instance->arena + model->outputs[i].offset, (size_t)model->outputs[i].description.bytes);
  return NATDEPLOY_OK;
}

int natdeploy_run(natdeploy_instance *instance, const void *const *inputs, void *const *outputs) {
  return run(instance, inputs, outputs, NULL);
}

int natdeploy_time(natdeploy_instance *instance, const void *const *inputs, void *const *outputs, int repeats,
                   double *milliseconds) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  if (repeats < 1 || !milliseconds)
    return fail(instance, NATDEPLOY_BAD_ARGUMENT, "repeats below 1, or no room for times", NULL);
  for (int i = 0; i < repeats; i++) {
    double start, end;
    if (!now_ms(&start)) return fail(instance, NATDEPLOY_NO_CLOCK, "before a run", NULL);
    int status = run(instance, inputs, outputs, NULL);
    if (status) return status;
    if (!now_ms(&end)) return fail(instance, NATDEPLOY_NO_CLOCK, "after a run", NULL);
    milliseconds[i] = end - start;
  }
  return NATDEPLOY_OK;
}

int natdeploy_time_calls(natdeploy_instance *instance, const void *const *inputs, void *const *outputs,
                         double *milliseconds) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  if (!milliseconds) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no room for times", NULL);
  return run(instance, inputs, outputs, milliseconds);
}

void natdeploy_destroy(natdeploy_instance *instance) {
  if (!instance) return;
  pool_destroy(instance->pool);
  free(instance->arena);
  free(instance->taken);
  free(instance->tensors);
  free(instance->values);
  free(instance);
}

const char *natdeploy_last_error(const natdeploy_instance *instance) {
  return instance ? instance->message : natdeploy_status_text(NATDEPLOY_BAD_ARGUMENT);
}
