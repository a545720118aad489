/* Stands in for libcudart.so.13: what TVM's CUDA runtime calls of it, with this processor's own memory. It has one
 * device, or none where STAND_IN_CUDA=none. */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_MEMORY = 2, NO_DEVICE = 100, UNSUPPORTED = 801 };

static int absent(void) {
  const char *said = getenv("STAND_IN_CUDA");
  return said && !strcmp(said, "none");
}

int cudaGetDeviceCount(int *count) { return *count = !absent(), absent() ? NO_DEVICE : SUCCESS; }
int cudaGetDevice(int *device) { return *device = 0, SUCCESS; }
int cudaSetDevice(int device) { return device || absent() ? NO_DEVICE : SUCCESS; }
int cudaGetDeviceProperties(void *properties, int device) { (void)properties, (void)device; return UNSUPPORTED; }

int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  static const struct { int attribute, value; } KNOWN[] = {
      {1, 1024} /* threads of a group */, {8, 49152} /* its shared bytes */, {10, 32} /* warp */, {75, 9}, {76, 0}};
  if (device || absent()) return NO_DEVICE;
  *value = 1;
  for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
    if (KNOWN[i].attribute == attribute) *value = KNOWN[i].value;
  return SUCCESS;
}

int cudaMalloc(void **memory, size_t bytes) {
  return (*memory = aligned_alloc(256, (bytes + 255) / 256 * 256)) ? SUCCESS : NO_MEMORY;
}
int cudaFree(void *memory) { return free(memory), SUCCESS; }
int cudaMallocHost(void **memory, size_t bytes) { return cudaMalloc(memory, bytes); }
int cudaFreeHost(void *memory) { return cudaFree(memory); }
int cudaMemGetInfo(size_t *left, size_t *all) { return *left = *all = (size_t)1 << 30, SUCCESS; }

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
  (void)kind, (void)stream;
  return memcpy(to, from, bytes), SUCCESS;
}
int cudaMemcpyPeerAsync(void *to, int receiver, const void *from, int sender, size_t bytes, void *stream) {
  (void)receiver, (void)sender;
  return cudaMemcpyAsync(to, from, bytes, 0, stream);
}

int cudaStreamSynchronize(void *stream) { (void)stream; return SUCCESS; }
int cudaGetLastError(void) { return SUCCESS; }
int cudaPeekAtLastError(void) { return SUCCESS; }
const char *cudaGetErrorString(int error) { return error ? "an error of the stand-in" : "no error"; }
const char *cudaGetErrorName(int error) { return cudaGetErrorString(error); }

/* What natdeploy has no use for, and the library is not loaded without. */
#define UNUSED(name) int name(void) { return UNSUPPORTED; }
UNUSED(cudaEventCreate)
UNUSED(cudaEventDestroy)
UNUSED(cudaEventElapsedTime)
UNUSED(cudaEventRecord)
UNUSED(cudaEventSynchronize)
UNUSED(cudaGraphDestroy)
UNUSED(cudaGraphExecDestroy)
UNUSED(cudaGraphInstantiate)
UNUSED(cudaGraphLaunch)
UNUSED(cudaStreamBeginCapture)
UNUSED(cudaStreamCreate)
UNUSED(cudaStreamCreateWithFlags)
UNUSED(cudaStreamDestroy)
UNUSED(cudaStreamEndCapture)
UNUSED(cudaStreamWaitEvent)
