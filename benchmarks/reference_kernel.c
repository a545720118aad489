/* A steady piece of work of about a millisecond: multiply-adds over a buffer that stays in the second-level cache. */
float reference_kernel(float *data, long count) {
  float total = 0;
  for (int sweep = 0; sweep < 512; sweep++)
    for (long i = 0; i < count; i++) data[i] = data[i] * 0.999f + 0.001f;
  for (long i = 0; i < count; i += 4096) total += data[i];
  return total;
}
