/* Instances on several threads at once, each with threads of its own; all must give what the first one gave. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "natdeploy.h"

enum { ROWS = 7, COLUMNS = 5, CALLERS = 3, TIMES = 60, CALLS = 4 };

static float image[ROWS][COLUMNS], expected[COLUMNS];

static int run(natdeploy_instance *instance, const void *x, float *y) {
  const void *inputs[] = {x};
  void *outputs[] = {y};
  double times[CALLS];
  int status = natdeploy_run(instance, inputs, outputs);
  return status ? status : natdeploy_time_calls(instance, inputs, outputs, times);
}

static void *call(void *argument) {
  natdeploy_instance *instance;
  float y[COLUMNS];
  for (int time = 0; time < TIMES; time++) {
    if (natdeploy_create(natdeploy_default_model(), *(int *)argument, &instance)) return argument;
    for (int i = 0; i < 3; i++)
      if (run(instance, image, y) || memcmp(y, expected, sizeof y)) return argument;
    natdeploy_destroy(instance);
  }
  return NULL;
}

int main(void) {
  natdeploy_instance *instance;
  pthread_t callers[CALLERS];
  int threads[CALLERS], wrong = 0;
  for (int i = 0; i < ROWS * COLUMNS; i++) image[i / COLUMNS][i % COLUMNS] = (float)(i % 11) * 0.3f - 1;
  if (natdeploy_create(natdeploy_default_model(), 1, &instance) || run(instance, image, expected)) return 1;
  natdeploy_destroy(instance);
  for (int i = 0; i < CALLERS; i++) {
    threads[i] = i + 1;
    if (pthread_create(&callers[i], NULL, call, &threads[i])) return 2;
  }
  for (int i = 0; i < CALLERS; i++) {
    void *found;
    pthread_join(callers[i], &found);
    wrong += found != NULL;
  }
  if (wrong) return 3;
  /* One thread's refusal is the run's, and does not stop the next run. */
  float bad[ROWS][COLUMNS], y[COLUMNS];
  memcpy(bad, image, sizeof bad);
  bad[ROWS - 1][0] = NAN;
  if (natdeploy_create(natdeploy_default_model(), ROWS + 1, &instance) != NATDEPLOY_NO_THREADS || instance) return 4;
  if (natdeploy_create(natdeploy_default_model(), ROWS, &instance)) return 5;
  if (run(instance, bad, y) != NATDEPLOY_KERNEL_FAILED || !strstr(natdeploy_last_error(instance), "rows")) return 6;
  if (run(instance, image, y) || memcmp(y, expected, sizeof y)) return 7;
  natdeploy_destroy(instance);
  return 0;
}
