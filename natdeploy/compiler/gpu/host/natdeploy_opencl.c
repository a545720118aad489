/* Runs a plan on an OpenCL device: one buffer for the arena, one for the constants, one kernel after another in a queue
 * that keeps their order. See natdeploy.h and natdeploy_opencl.h. */
#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "natdeploy_opencl.h"
#include "natdeploy_opencl_plan.h"
#include "opencl_abi.h"

enum { NAME_BYTES = 128, MESSAGE_BYTES = 256, MAX_PLATFORMS = 8 };

/* Where Linux and Android vendors keep it; the first is for loaders that search. */
static const char *const LIBRARIES[] = {"libOpenCL.so.1", "libOpenCL.so", "/vendor/lib64/libOpenCL.so",
                                        "/system/vendor/lib64/libOpenCL.so", "/vendor/lib64/egl/libGLES_mali.so"};

#define MEMBER(result, name, parameters) result (*name) parameters;
typedef struct { OPENCL_FUNCTIONS(MEMBER) } opencl;

struct natdeploy_instance {
  const natdeploy_model *model;
  opencl cl;
  cl_device_id device;
  cl_context context;
  cl_command_queue queue;
  cl_program program;
  cl_mem arena, constants;
  cl_mem *parts;      /* of those two: one for each argument of each call */
  cl_kernel *kernels; /* one for each call, its arguments set */
  char device_name[NAME_BYTES], message[MESSAGE_BYTES];
};

static int load(opencl *cl) {
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof LIBRARIES / sizeof *LIBRARIES; i++)
    library = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return 0;
/* Never closed again: drivers leave threads behind that would run without code. */
#define LOAD(result, name, parameters) \
  *(void **)(void *)&cl->name = dlsym(library, #name); \
  if (!cl->name) return 0;
  OPENCL_FUNCTIONS(LOAD)
  return 1;
}

/* The first graphics processor, else the first device. */
static int choose_device(natdeploy_instance *instance) {
  const opencl *cl = &instance->cl;
  cl_platform_id platforms[MAX_PLATFORMS];
  uint32_t count = 0;
  if (cl->clGetPlatformIDs(MAX_PLATFORMS, platforms, &count)) return 0;
  for (int any = 0; any < 2; any++)
    for (uint32_t i = 0; i < count && i < MAX_PLATFORMS; i++) {
      uint64_t kind = any ? CL_DEVICE_TYPE_ALL : CL_DEVICE_TYPE_GPU;
      char device[NAME_BYTES / 2 - 6] = "", platform[NAME_BYTES / 2 - 6] = "";
      if (cl->clGetDeviceIDs(platforms[i], kind, 1, &instance->device, NULL)) continue;
      cl->clGetDeviceInfo(instance->device, CL_DEVICE_NAME, sizeof device - 1, device, NULL);
      cl->clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof platform - 1, platform, NULL);
      snprintf(instance->device_name, NAME_BYTES, "%s: %s (%s)", any ? "other" : "gpu", device, platform);
      return 1;
    }
  return 0;
}

static const opencl_launch *launch_of(const natdeploy_model *model, int call) {
  return &((const opencl_model *)model)->launches[call];
}

/* Whether parts of a buffer may begin where the plan's tensors do, and groups may be as large as the kernels'. */
static int fits_device(const natdeploy_instance *instance) {
  const opencl *cl = &instance->cl;
  const natdeploy_model *model = instance->model;
  uint32_t bits = 0;
  size_t most = 0;
  if (cl->clGetDeviceInfo(instance->device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL) || bits < 8 ||
      cl->clGetDeviceInfo(instance->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof most, &most, NULL))
    return 0;
  for (int i = 0; i < model->argument_count; i++)
    if (model->arguments[i].offset % (bits / 8)) return 0;
  for (int i = 0; i < model->call_count; i++) {
    const uint32_t *threads = launch_of(model, i)->threads;
    if ((size_t)threads[0] * threads[1] * threads[2] > most) return 0;
  }
  return 1;
}

static size_t argument_bytes(const plan_argument *argument) {
  static const uint8_t BYTES[] = {4, 8, 4, 1, 1}; /* by NATDEPLOY_FLOAT32 ... */
  size_t bytes = BYTES[argument->dtype];
  for (int i = 0; i < argument->ndim; i++) bytes *= (size_t)argument->shape[i];
  return bytes;
}

/* One kernel for each call, on its parts of the two buffers. */
static int bind_call(natdeploy_instance *instance, int index) {
  const opencl *cl = &instance->cl;
  const plan_call *call = &instance->model->calls[index];
  int32_t error = 0;
  instance->kernels[index] = cl->clCreateKernel(instance->program, call->kernel_name, &error);
  for (int i = 0; !error && i < call->argument_count; i++) {
    int place = call->first_argument + i;
    const plan_argument *argument = &instance->model->arguments[place];
    cl_buffer_region region = {argument->offset, argument_bytes(argument)};
    cl_mem whole = argument->space == PLAN_ARENA ? instance->arena : instance->constants;
    cl_mem *part = &instance->parts[place];
    *part = cl->clCreateSubBuffer(whole, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    if (!error) error = cl->clSetKernelArg(instance->kernels[index], (uint32_t)i, sizeof *part, part);
  }
  return error;
}

static int prepare(natdeploy_instance *instance) {
  const opencl *cl = &instance->cl;
  const natdeploy_model *model = instance->model;
  int32_t error = 0;
  if (!load(&instance->cl) || !choose_device(instance)) return NATDEPLOY_NO_OPENCL;
  if (!fits_device(instance)) return NATDEPLOY_NOT_FOR_DEVICE;
  instance->context = cl->clCreateContext(NULL, 1, &instance->device, NULL, NULL, &error);
  if (error) return NATDEPLOY_DEVICE_FAILED;
  instance->queue = cl->clCreateCommandQueue(instance->context, instance->device, 0, &error);
  if (error) return NATDEPLOY_DEVICE_FAILED;
  const char *source = ((const opencl_model *)model)->program;
  instance->program = cl->clCreateProgramWithSource(instance->context, 1, &source, NULL, &error);
  if (error || cl->clBuildProgram(instance->program, 1, &instance->device, NULL, NULL, NULL))
    return NATDEPLOY_NOT_FOR_DEVICE;
  instance->arena = cl->clCreateBuffer(instance->context, CL_MEM_READ_WRITE, (size_t)model->arena_bytes, NULL, &error);
  if (error) return NATDEPLOY_NO_MEMORY;
  if (model->constant_bytes) /* copied; OpenCL has no const pointer for it */
    instance->constants = cl->clCreateBuffer(instance->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                             (size_t)model->constant_bytes, (void *)(uintptr_t)model->constants, &error);
  if (error) return NATDEPLOY_NO_MEMORY;
  for (int i = 0; i < model->call_count; i++)
    if (bind_call(instance, i)) return NATDEPLOY_NOT_FOR_DEVICE;
  return NATDEPLOY_OK;
}

int natdeploy_create(const natdeploy_model *model, int threads, natdeploy_instance **result) {
  if (!result) return NATDEPLOY_BAD_ARGUMENT;
  *result = NULL;
  if (!model || threads < 1) return NATDEPLOY_BAD_ARGUMENT;
  if (threads > model->max_parts) return NATDEPLOY_NO_THREADS;
  natdeploy_instance *instance = calloc(1, sizeof *instance);
  if (!instance) return NATDEPLOY_NO_MEMORY;
  instance->model = model;
  instance->parts = calloc((size_t)model->argument_count + 1, sizeof *instance->parts);
  instance->kernels = calloc((size_t)model->call_count + 1, sizeof *instance->kernels);
  int status = instance->parts && instance->kernels ? prepare(instance) : NATDEPLOY_NO_MEMORY;
  if (status) natdeploy_destroy(instance);
  else *result = instance;
  return status;
}

void natdeploy_destroy(natdeploy_instance *instance) {
  if (!instance) return;
  const opencl *cl = &instance->cl;
  for (int i = 0; instance->kernels && i < instance->model->call_count; i++)
    if (instance->kernels[i]) cl->clReleaseKernel(instance->kernels[i]);
  for (int i = 0; instance->parts && i < instance->model->argument_count; i++)
    if (instance->parts[i]) cl->clReleaseMemObject(instance->parts[i]);
  if (instance->constants) cl->clReleaseMemObject(instance->constants);
  if (instance->arena) cl->clReleaseMemObject(instance->arena);
  if (instance->program) cl->clReleaseProgram(instance->program);
  if (instance->queue) cl->clReleaseCommandQueue(instance->queue);
  if (instance->context) cl->clReleaseContext(instance->context);
  free(instance->parts);
  free(instance->kernels);
  free(instance);
}

static int fail(natdeploy_instance *instance, int status, const char *detail, const char *name) {
  snprintf(instance->message, sizeof instance->message, "%s: %s %s", natdeploy_status_text(status), detail, name);
  return status;
}

static int device_failed(natdeploy_instance *instance, int error, const char *name) {
  char detail[32];
  snprintf(detail, sizeof detail, "error %d at", error);
  return fail(instance, NATDEPLOY_DEVICE_FAILED, detail, name);
}

static int now_ms(double *milliseconds) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time)) return 0;
  *milliseconds = (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
  return 1;
}

static int enqueue(const natdeploy_instance *instance, int index) {
  const opencl_launch *launch = launch_of(instance->model, index);
  size_t all[3], group[3];
  for (int axis = 0; axis < 3; axis++) {
    group[axis] = launch->threads[axis];
    all[axis] = (size_t)launch->groups[axis] * group[axis];
  }
  return instance->cl.clEnqueueNDRangeKernel(instance->queue, instance->kernels[index], 3, NULL, all, group, 0, NULL,
                                             NULL);
}

/* Run the plan; milliseconds of each call where wanted, each then waited for. */
static int run(natdeploy_instance *instance, const void *const *inputs, void *const *outputs, double *call_ms) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  const natdeploy_model *model = instance->model;
  const opencl *cl = &instance->cl;
  int error;
  if (!inputs || !outputs) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "inputs or outputs are", "null");
  for (int i = 0; i < model->output_count; i++)
    if (!outputs[i])
      return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no room for output", model->outputs[i].description.name);
  for (int i = 0; i < model->input_count; i++) {
    const plan_port *port = &model->inputs[i];
    if (!inputs[i]) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no data for input", port->description.name);
    error = cl->clEnqueueWriteBuffer(instance->queue, instance->arena, CL_TRUE, (size_t)port->offset,
                                     (size_t)port->description.bytes, inputs[i], 0, NULL, NULL);
    if (error) return device_failed(instance, error, port->description.name);
  }
  double start = 0, end = 0;
  if (call_ms && !now_ms(&start)) return fail(instance, NATDEPLOY_NO_CLOCK, "before", "the first call");
  for (int i = 0; i < model->call_count; i++) {
    error = enqueue(instance, i);
    if (!error && call_ms) error = cl->clFinish(instance->queue);
    if (error) return device_failed(instance, error, model->calls[i].name);
    if (call_ms) {
      if (!now_ms(&end)) return fail(instance, NATDEPLOY_NO_CLOCK, "after", model->calls[i].name);
      call_ms[i] = end - start;
      start = end;
    }
  }
  for (int i = 0; i < model->output_count; i++) {
    const plan_port *port = &model->outputs[i];
    error = cl->clEnqueueReadBuffer(instance->queue, instance->arena, CL_TRUE, (size_t)port->offset,
                                    (size_t)port->description.bytes, outputs[i], 0, NULL, NULL);
    if (error) return device_failed(instance, error, port->description.name);
  }
  return NATDEPLOY_OK;
}

int natdeploy_run(natdeploy_instance *instance, const void *const *inputs, void *const *outputs) {
  return run(instance, inputs, outputs, NULL);
}

int natdeploy_time(natdeploy_instance *instance, const void *const *inputs, void *const *outputs, int repeats,
                   double *milliseconds) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  if (repeats < 1 || !milliseconds)
    return fail(instance, NATDEPLOY_BAD_ARGUMENT, "repeats below 1, or no room for", "times");
  for (int i = 0; i < repeats; i++) {
    double start, end;
    if (!now_ms(&start)) return fail(instance, NATDEPLOY_NO_CLOCK, "before", "a run");
    int status = run(instance, inputs, outputs, NULL);
    if (status) return status;
    if (!now_ms(&end)) return fail(instance, NATDEPLOY_NO_CLOCK, "after", "a run");
    milliseconds[i] = end - start;
  }
  return NATDEPLOY_OK;
}

int natdeploy_time_calls(natdeploy_instance *instance, const void *const *inputs, void *const *outputs,
                         double *milliseconds) {
  if (!instance) return NATDEPLOY_BAD_ARGUMENT;
  if (!milliseconds) return fail(instance, NATDEPLOY_BAD_ARGUMENT, "no room for", "times");
  return run(instance, inputs, outputs, milliseconds);
}

const char *natdeploy_opencl_device(const natdeploy_instance *instance) {
  return instance ? instance->device_name : "";
}

const char *natdeploy_last_error(const natdeploy_instance *instance) {
  return instance ? instance->message : natdeploy_status_text(NATDEPLOY_BAD_ARGUMENT);
}
