/* What a library for OpenCL has besides natdeploy.h. Its instances use the first graphics processor that any OpenCL
 * platform offers, or the first device of another kind where there is none; they run on one thread. */
#ifndef NATDEPLOY_OPENCL_H
#define NATDEPLOY_OPENCL_H

#include "natdeploy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Further statuses. */
enum {
  NATDEPLOY_NO_OPENCL = 6,      /* no OpenCL library can be loaded, or it has no device */
  NATDEPLOY_NOT_FOR_DEVICE = 7, /* the device's compiler or limits refuse the kernels */
  NATDEPLOY_DEVICE_FAILED = 8   /* a call of OpenCL failed: see natdeploy_last_error */
};

/* The device of an instance: "gpu: NAME (PLATFORM)", or "other: ..." for one that is no graphics processor. OpenCL on an
 * ordinary processor (PoCL) computes the same and says nothing of a graphics processor's speed. */
NATDEPLOY_API const char *natdeploy_opencl_device(const natdeploy_instance *instance);

#ifdef __cplusplus
}
#endif
#endif
