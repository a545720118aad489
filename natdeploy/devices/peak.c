/* Peak fp32 multiply-add rate and memory read bandwidth of the core this runs on, as one line of JSON.
 * VECTOR_BYTES is the width of a vector register; compiled with -march=native and -ffp-contract=fast. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef float vec __attribute__((vector_size(VECTOR_BYTES)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Twelve independent chains hide the latency of two pipes and fit into sixteen registers. */
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define CHAINS 12

static volatile float sink;

static double fma_gflops(int rounds) {
  vec m, c;
  for (unsigned i = 0; i < sizeof(vec) / 4; i++) m[i] = 0.999f, c[i] = 0.001f * (i + 1);
#define DECLARE(i) vec a##i = c * (float)(i + 1);
#define STEP(i) a##i = a##i * m + c;
#define KEEP(i) __asm__ volatile("" : "+x"(a##i));
#define KEEP_ARM(i) __asm__ volatile("" : "+w"(a##i));
#define ADD(i) c += a##i;
  EACH(DECLARE)
  double start = now();
  for (int r = 0; r < rounds; r++) {
    EACH(STEP) EACH(STEP) EACH(STEP) EACH(STEP)
#if defined(__x86_64__)
    EACH(KEEP)
#elif defined(__aarch64__)
    EACH(KEEP_ARM)
#endif
  }
  double seconds = now() - start;
  EACH(ADD)
  sink = c[0];
  return 1e-9 * 2.0 * rounds * 4 * CHAINS * (sizeof(vec) / 4) / seconds;
}

static double read_gb_s(const vec *data, size_t vectors) {
  vec s0 = data[0], s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  double start = now();
  for (size_t i = 0; i + 8 <= vectors; i += 8) {
    s0 += data[i]; s1 += data[i + 1]; s2 += data[i + 2]; s3 += data[i + 3];
    s4 += data[i + 4]; s5 += data[i + 5]; s6 += data[i + 6]; s7 += data[i + 7];
  }
  double seconds = now() - start;
  s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;
  sink = s0[0];
  return 1e-9 * vectors * sizeof(vec) / seconds;
}

int main(void) {
  size_t bytes = (size_t)BUFFER_MIB << 20;
  vec *data = aligned_alloc(4096, bytes);
  if (!data) return 1;
  for (size_t i = 0; i < bytes / 4; i++) ((float *)data)[i] = (float)(i & 7);
  /* The best of many short runs, spread over time: anything slower was disturbed. */
  double gflops = 0, bandwidth = 0;
  for (int trial = 0; trial < 40; trial++) {
    double found = fma_gflops(100000);
    if (found > gflops) gflops = found;
    found = read_gb_s(data, bytes / sizeof(vec));
    if (found > bandwidth) bandwidth = found;
  }
  printf("{\"peak_gflops_per_core\": %.3f, \"bandwidth_gb_s\": %.3f}\n", gflops, bandwidth);
  return 0;
}
