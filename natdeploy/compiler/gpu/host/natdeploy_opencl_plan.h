/* A plan for OpenCL as read-only data: what the generated model.c holds and natdeploy_opencl.c runs. Not for callers. */
#ifndef NATDEPLOY_OPENCL_PLAN_H
#define NATDEPLOY_OPENCL_PLAN_H

#include "natdeploy_plan.h"

typedef struct { uint32_t groups[3], threads[3]; } opencl_launch;

/* The kernels of its calls are null: they are found by name in the program. */
typedef struct {
  natdeploy_model model; /* first, so that a pointer to it is one to the whole */
  const char *program;   /* source code, ends with a 0 */
  const opencl_launch *launches; /* one for each call */
} opencl_model;

#endif
