/* CUDA's C++ on an ordinary processor, as far as natdeploy's kernels go: a thread is a context of its own, and those of
 * a group run in turn from one barrier to the next. Stands where NVIDIA's header would; see nvcc beside it. */
#ifndef STAND_IN_CUDA_H
#define STAND_IN_CUDA_H

#include <cmath>
#include <cstdint>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)

#define VECTORS(type, name) \
  struct name##2 { type x, y; }; \
  struct alignas(4 * sizeof(type)) name##4 { type x, y, z, w; }; \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
VECTORS(float, float)
VECTORS(int, int)
VECTORS(unsigned short, ushort)
VECTORS(signed char, char)
VECTORS(unsigned char, uchar)

template <typename T> static inline T max(T a, T b) { return a > b ? a : b; }
template <typename T> static inline T min(T a, T b) { return a < b ? a : b; }

namespace stand_in {
enum { THREADS = 1024, STACK_BYTES = 1 << 16 };
struct index { unsigned x, y, z; };
static ucontext_t scheduler, contexts[THREADS];
static char stacks[THREADS][STACK_BYTES];
static bool finished[THREADS];
static unsigned current, count;
static float exchanged[THREADS];
static void (*kernel)(void **);
static void **parameters;

static void enter() {
  kernel(parameters);
  finished[current] = true; /* uc_link takes it back to the scheduler */
}
static void yield() { swapcontext(&contexts[current], &scheduler); }
} // namespace stand_in

static stand_in::index threadIdx, blockIdx;
static inline void __syncthreads() { stand_in::yield(); }

/* What threads of a warp take from each other; all of its threads that are left come here together. */
static inline unsigned __activemask() { return ~0u; }
static float from_lane(float value, unsigned lane, bool within) {
  using namespace stand_in;
  unsigned own = current, other = own / 32 * 32 + lane;
  exchanged[own] = value;
  yield();
  float found = within && other < count ? exchanged[other] : value;
  yield();
  return found;
}
static inline float __shfl_sync(unsigned, float value, int lane, int width) {
  unsigned own = stand_in::current % 32;
  return from_lane(value, own / width * width + lane % width, true);
}
static inline float __shfl_down_sync(unsigned, float value, unsigned delta, int width) {
  unsigned own = stand_in::current % 32;
  return from_lane(value, own + delta, own % width + delta < (unsigned)width);
}

/* All groups of a launch, one after another. Returns 0, or 1 for a group that is too large. */
extern "C" int stand_in_launch(void (*kernel)(void **), void **parameters, const unsigned *groups,
                               const unsigned *threads) {
  using namespace stand_in;
  count = threads[0] * threads[1] * threads[2];
  if (count > THREADS) return 1;
  stand_in::kernel = kernel;
  stand_in::parameters = parameters;
  for (blockIdx.z = 0; blockIdx.z < groups[2]; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < groups[1]; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < groups[0]; blockIdx.x++) {
        for (unsigned i = 0; i < count; i++) {
          finished[i] = false;
          getcontext(&contexts[i]);
          contexts[i].uc_stack.ss_sp = stacks[i];
          contexts[i].uc_stack.ss_size = STACK_BYTES;
          contexts[i].uc_link = &scheduler;
          makecontext(&contexts[i], enter, 0);
        }
        for (unsigned left = count; left;) {
          left = 0;
          for (current = 0; current < count; current++) {
            if (finished[current]) continue;
            threadIdx = {current % threads[0], current / threads[0] % threads[1], current / (threads[0] * threads[1])};
            swapcontext(&scheduler, &contexts[current]);
            left += !finished[current];
          }
        }
      }
  return 0;
}

/* C++ takes the standard's own word only in front of "static", where CUDA's __shared__ comes first. */
#define alignas(bytes) __attribute__((aligned(bytes)))
#endif
