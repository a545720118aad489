/* The part of OpenCL 1.2 that natdeploy_opencl.c calls. Own definitions, so that building it needs no OpenCL header and
 * no library to link; a test compiles them against Khronos'. */
#ifndef NATDEPLOY_OPENCL_ABI_H
#define NATDEPLOY_OPENCL_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef struct _cl_platform_id *cl_platform_id;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_context *cl_context;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_program *cl_program;
typedef struct _cl_kernel *cl_kernel;
typedef struct _cl_mem *cl_mem;
typedef struct _cl_event *cl_event;
typedef struct { size_t origin, size; } cl_buffer_region;

enum {
  CL_SUCCESS = 0,
  CL_TRUE = 1,
  CL_DEVICE_TYPE_GPU = 4,
  CL_MEM_READ_WRITE = 1,
  CL_MEM_READ_ONLY = 4,
  CL_MEM_COPY_HOST_PTR = 32,
  CL_DEVICE_TYPE = 0x1000,
  CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
  CL_DEVICE_MEM_BASE_ADDR_ALIGN = 0x1019,
  CL_DEVICE_NAME = 0x102B,
  CL_PLATFORM_NAME = 0x0902,
  CL_BUFFER_CREATE_TYPE_REGION = 0x1220
};
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFFu

/* F(result, name, parameters) for each function. */
#define OPENCL_FUNCTIONS(F) \
  F(int32_t, clGetPlatformIDs, (uint32_t, cl_platform_id *, uint32_t *)) \
  F(int32_t, clGetPlatformInfo, (cl_platform_id, uint32_t, size_t, void *, size_t *)) \
  F(int32_t, clGetDeviceIDs, (cl_platform_id, uint64_t, uint32_t, cl_device_id *, uint32_t *)) \
  F(int32_t, clGetDeviceInfo, (cl_device_id, uint32_t, size_t, void *, size_t *)) \
  F(cl_context, clCreateContext, (const intptr_t *, uint32_t, const cl_device_id *, \
    void (*)(const char *, const void *, size_t, void *), void *, int32_t *)) \
  F(cl_command_queue, clCreateCommandQueue, (cl_context, cl_device_id, uint64_t, int32_t *)) \
  F(cl_mem, clCreateBuffer, (cl_context, uint64_t, size_t, void *, int32_t *)) \
  F(cl_mem, clCreateSubBuffer, (cl_mem, uint64_t, uint32_t, const void *, int32_t *)) \
  F(cl_program, clCreateProgramWithSource, (cl_context, uint32_t, const char **, const size_t *, int32_t *)) \
  F(int32_t, clBuildProgram, (cl_program, uint32_t, const cl_device_id *, const char *, void (*)(cl_program, void *), \
    void *)) \
  F(cl_kernel, clCreateKernel, (cl_program, const char *, int32_t *)) \
  F(int32_t, clSetKernelArg, (cl_kernel, uint32_t, size_t, const void *)) \
  F(int32_t, clEnqueueNDRangeKernel, (cl_command_queue, cl_kernel, uint32_t, const size_t *, const size_t *, \
    const size_t *, uint32_t, const cl_event *, cl_event *)) \
  F(int32_t, clEnqueueWriteBuffer, (cl_command_queue, cl_mem, uint32_t, size_t, size_t, const void *, uint32_t, \
    const cl_event *, cl_event *)) \
  F(int32_t, clEnqueueReadBuffer, (cl_command_queue, cl_mem, uint32_t, size_t, size_t, void *, uint32_t, \
    const cl_event *, cl_event *)) \
  F(int32_t, clFinish, (cl_command_queue)) \
  F(int32_t, clReleaseMemObject, (cl_mem)) \
  F(int32_t, clReleaseKernel, (cl_kernel)) \
  F(int32_t, clReleaseProgram, (cl_program)) \
  F(int32_t, clReleaseCommandQueue, (cl_command_queue)) \
  F(int32_t, clReleaseContext, (cl_context))

#endif
