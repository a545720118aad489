/* Stands in for libcuda.so.1: what TVM's CUDA runtime calls of it. A module is a shared library that the stand-in nvcc
 * made. STAND_IN_CUDA=crash makes a launch end the process, =refuse makes loading fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

typedef struct { unsigned groups[3], threads[3], shared_bytes; void *stream, *attributes; unsigned count; } config;
typedef struct { void *library; void (*run)(void **); } function;
typedef int launcher(void (*)(void **), void **, const unsigned *, const unsigned *);

static int told(const char *word) {
  const char *said = getenv("STAND_IN_CUDA");
  return said && !strcmp(said, word);
}

int cuDeviceGetName(char *name, int bytes, int device) {
  (void)device;
  snprintf(name, (size_t)bytes, "Stand-in H100");
  return SUCCESS;
}

int cuModuleLoadData(void **module, const void *image) {
  const Elf64_Ehdr *head = image;
  char path[] = "/tmp/natdeploy-stand-in-XXXXXX";
  if (told("refuse") || memcmp(image, ELFMAG, SELFMAG)) return INVALID_IMAGE;
  size_t bytes = head->e_shoff + (size_t)head->e_shentsize * head->e_shnum;
  int file = mkstemp(path);
  if (file < 0 || write(file, image, bytes) != (ssize_t)bytes) return INVALID_IMAGE;
  close(file);
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  unlink(path);
  return *module ? SUCCESS : INVALID_IMAGE;
}

int cuModuleUnload(void *module) { return dlclose(module) ? INVALID_VALUE : SUCCESS; }

int cuModuleGetFunction(void **result, void *module, const char *name) {
  char symbol[512];
  snprintf(symbol, sizeof symbol, "%s_run", name);
  function *found = malloc(sizeof *found);
  found->library = module;
  *(void **)(void *)&found->run = dlsym(module, symbol);
  *result = found;
  return found->run ? SUCCESS : NOT_FOUND;
}

int cuFuncSetAttribute(void *called, int attribute, int value) {
  (void)called, (void)attribute, (void)value;
  return SUCCESS;
}

int cuLaunchKernelEx(const config *how, void *called, void **parameters, void **extra) {
  (void)extra;
  function *kernel = called;
  launcher *launch;
  *(void **)(void *)&launch = dlsym(kernel->library, "stand_in_launch");
  if (told("crash")) abort();
  return launch && !launch(kernel->run, parameters, how->groups, how->threads) ? SUCCESS : LAUNCH_FAILED;
}

int cuGetErrorName(int error, const char **text) {
  *text = error ? "CUDA_ERROR_OF_THE_STAND_IN" : "CUDA_SUCCESS";
  return SUCCESS;
}

int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

int cuTensorMapEncodeTiled(void) { return INVALID_VALUE; }
