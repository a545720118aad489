/* Workers wait for the next task in a short busy loop, because the calls of a plan follow each other within
 * microseconds, and then asleep, so that an instance at rest costs nothing. See natdeploy_pool.h. */
#define _POSIX_C_SOURCE 200809L

#include "natdeploy_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* OPEN: in the gate, while threads may join the task; below it, the gate counts those that have. */
enum { SPINS = 10000, OPEN = 1 << 30 };

typedef struct { pool *pool; pthread_t thread; } worker;

struct pool {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_uint round; /* tasks so far */
  atomic_int sleeping, gate, ended;
  int threads, started; /* the latter: workers, the caller not among them */
  pool_task *task;
  void *data;
  worker workers[];
};

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

static void await_round(pool *pool, unsigned seen) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleeping, 1); /* before the round is read again: announce() does it the other way round */
  while (atomic_load(&pool->round) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleeping, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void announce(pool *pool) {
  atomic_fetch_add(&pool->round, 1);
  if (!atomic_load(&pool->sleeping)) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *argument) {
  const worker *self = argument;
  pool *pool = self->pool;
  for (unsigned seen = 0; !atomic_load(&pool->ended);) {
    await_round(pool, seen);
    seen = atomic_load(&pool->round);
    /* Whoever comes too late for one task finds the gate closed, or joins the next one. */
    int gate = atomic_load(&pool->gate);
    while (gate & OPEN && !atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) continue;
    if (!(gate & OPEN)) continue;
    seen = atomic_load(&pool->round); /* no other task is announced while this one is joined */
    pool->task(pool->data, (int)(self - pool->workers) + 1, pool->threads);
    atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
  }
  return NULL;
}

pool *pool_create(int threads) {
  pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof *pool->workers);
  if (!pool) return NULL;
  pool->threads = threads;
  if (pthread_mutex_init(&pool->mutex, NULL)) return free(pool), NULL;
  if (pthread_cond_init(&pool->wake, NULL)) return pthread_mutex_destroy(&pool->mutex), free(pool), NULL;
  for (; pool->started < threads - 1; pool->started++) {
    worker *next = &pool->workers[pool->started];
    next->pool = pool;
    if (pthread_create(&next->thread, NULL, work, next)) return pool_destroy(pool), NULL;
  }
  return pool;
}

void pool_run(pool *pool, pool_task *task, void *data) {
  pool->task = task;
  pool->data = data;
  atomic_store(&pool->gate, OPEN);
  announce(pool);
  task(data, 0, pool->threads);
  atomic_fetch_and(&pool->gate, ~OPEN);
  for (int i = 0; atomic_load_explicit(&pool->gate, memory_order_acquire); i++)
    if (i < SPINS)
      pause_briefly();
    else
      sched_yield(); /* a worker has lost its processor: let it have this one */
}

void pool_destroy(pool *pool) {
  if (!pool) return;
  atomic_store(&pool->ended, 1);
  announce(pool);
  for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}
