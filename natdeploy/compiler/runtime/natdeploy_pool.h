/* The threads of one instance. They do one task at a time together. Not for callers. */
#ifndef NATDEPLOY_POOL_H
#define NATDEPLOY_POOL_H

typedef struct pool pool;
typedef void pool_task(void *data, int thread, int threads);

/* A pool of `threads` threads, the caller's one included. Null where there is no memory, or no more threads. */
pool *pool_create(int threads);

/* Call the task as thread 0, and as each other thread that is awake in time: the task has to share its work by itself.
 * All of them have ended when this returns. */
void pool_run(pool *pool, pool_task *task, void *data);

/* End the threads; null is ignored. */
void pool_destroy(pool *pool);

#endif
