/* model_run: a compiled model as one executable that runs it on files and times itself. */
#define _GNU_SOURCE /* sched_setaffinity */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "natdeploy.h"

/* Only a library for OpenCL has it; null in others. */
__attribute__((weak)) extern const char *natdeploy_opencl_device(const natdeploy_instance *instance);

static const char USAGE[] =
    "usage: model_run --input FILE... [--output FILE...] [--repeat N] [--warmup N] [--threads N] [--affinity LIST]\n"
    "Files hold raw little-endian numbers, row-major, one file for each input or output in the model's order. Outputs\n"
    "without a file are in the JSON on stdout, numbers that are not finite as null. LIST: processors, such as 0,4-7.\n"
    "Without any --input, the JSON only describes the model. Exit status: 0 done, 1 failed, 2 wrong usage or input.\n";

enum { MAX_FILES = 64, FAILED = 1, BAD_INPUT = 2 }; /* the generator refuses plans with more inputs or outputs */

static struct {
  const char *inputs[MAX_FILES], *outputs[MAX_FILES];
  int input_count, output_count, repeat, warmup, threads;
} options = {.repeat = 1, .threads = 1};

static void fail(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("model_run: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(status);
}

static void check(int status, const natdeploy_instance *instance) {
  if (status) fail(FAILED, "%s", instance ? natdeploy_last_error(instance) : natdeploy_status_text(status));
}

static int number(const char *option, const char *text, int least, int most) {
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end || value < least || value > most)
    fail(BAD_INPUT, "%s %s: expected a whole number from %d to %d", option, text, least, most);
  return (int)value;
}

/* Hold this thread, and those it will start, to processors such as "0,4-7". */
static void set_affinity(const char *list) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const char *at = list;; at++) {
    char *end;
    long first = strtol(at, &end, 10), last = first;
    int bad = end == at || first < 0;
    if (*end == '-') at = end + 1, last = strtol(at, &end, 10), bad |= end == at || last < first;
    if (bad || last >= CPU_SETSIZE || (*end && *end != ','))
      fail(BAD_INPUT, "--affinity %s: expected processors such as 0,4-7", list);
    for (; first <= last; first++) CPU_SET((size_t)first, &set);
    if (!*end) break;
    at = end;
  }
  if (sched_setaffinity(0, sizeof set, &set)) fail(BAD_INPUT, "--affinity %s: %s", list, strerror(errno));
}

static void parse(int count, char **words) {
  for (int i = 1; i < count; i += 2) {
    const char *option = words[i], *value = words[i + 1];
    if (!strcmp(option, "--help")) exit(fputs(USAGE, stdout) < 0);
    if (!value) fail(BAD_INPUT, "%s: a value is missing, or the option is unknown; see --help", option);
    if (!strcmp(option, "--input") && options.input_count < MAX_FILES) options.inputs[options.input_count++] = value;
    else if (!strcmp(option, "--output") && options.output_count < MAX_FILES)
      options.outputs[options.output_count++] = value;
    else if (!strcmp(option, "--repeat")) options.repeat = number(option, value, 1, 1000000);
    else if (!strcmp(option, "--warmup")) options.warmup = number(option, value, 0, 1000000);
    else if (!strcmp(option, "--threads")) options.threads = number(option, value, 1, 4096);
    else if (!strcmp(option, "--affinity")) set_affinity(value);
    else fail(BAD_INPUT, "%s: unknown option; see --help", option);
  }
}

static void *allocate(size_t bytes) {
  void *memory = calloc(1, bytes + 1);
  if (!memory) fail(FAILED, "out of memory");
  return memory;
}

static void *read_input(const char *path, const natdeploy_tensor *tensor) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
  void *data = allocate((size_t)tensor->bytes);
  if (fread(data, 1, (size_t)tensor->bytes + 1, file) != tensor->bytes || ferror(file))
    fail(BAD_INPUT, "%s: input %s takes exactly %" PRIu64 " bytes", path, tensor->name, tensor->bytes);
  fclose(file);
  return data;
}

static void write_output(const char *path, const natdeploy_tensor *tensor, const void *data) {
  FILE *file = fopen(path, "wb");
  if (!file) fail(BAD_INPUT, "%s: cannot be written: %s", path, strerror(errno));
  size_t size = fwrite(data, 1, (size_t)tensor->bytes, file);
  if (fclose(file) || size != tensor->bytes) fail(BAD_INPUT, "%s: could not be written to its end", path);
}

static void print_value(const natdeploy_tensor *tensor, const void *data, size_t i) {
  double value = tensor->dtype == NATDEPLOY_FLOAT32 ? (double)((const float *)data)[i] : 0;
  switch (tensor->dtype) {
    case NATDEPLOY_INT64: printf("%lld", (long long)((const int64_t *)data)[i]); break;
    case NATDEPLOY_INT32: printf("%ld", (long)((const int32_t *)data)[i]); break;
    case NATDEPLOY_FLOAT32: printf(isfinite(value) ? "%.9g" : "null", value); break;
    default: printf("%d", ((const uint8_t *)data)[i]);
  }
}

static void print_tensor(const natdeploy_tensor *tensor, const void *data) {
  static const char *const DTYPES[] = {"float32", "int64", "int32", "uint8", "bool"};
  size_t count = 1;
  printf("{\"name\": \"%s\", \"dtype\": \"%s\", \"shape\": [", tensor->name, DTYPES[tensor->dtype]);
  for (int i = 0; i < tensor->ndim; count *= (size_t)tensor->shape[i++])
    printf("%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
  printf(data ? "], \"values\": [" : "]");
  for (size_t i = 0; data && i < count; i++) printf(i ? ", " : ""), print_value(tensor, data, i);
  printf(data ? "]}" : "}");
}

/* Most memory that this process held at once, in KiB; 0 where the system does not say. getrusage would not do: its
 * figure begins with that of the process which started this one. */
static long peak_rss_kib(void) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, "VmHWM:", 6)) kib = strtol(line + 6, NULL, 10);
  if (file) fclose(file);
  return kib;
}

static void print_times(const double *milliseconds) {
  cpu_set_t set;
  const char *comma = "";
  printf(", \"threads\": %d, \"warmup\": %d, \"peak_rss_kib\": %ld, \"affinity\": [", options.threads, options.warmup,
         peak_rss_kib());
  if (!sched_getaffinity(0, sizeof set, &set))
    for (size_t i = 0; i < CPU_SETSIZE; i++)
      if (CPU_ISSET(i, &set)) printf("%s%zu", comma, i), comma = ", ";
  printf("], \"milliseconds\": [");
  for (int i = 0; i < options.repeat; i++) printf("%s%.6f", i ? ", " : "", milliseconds[i]);
  printf("]");
}

int main(int count, char **words) {
  const natdeploy_model *model = natdeploy_default_model();
  int inputs = natdeploy_input_count(model), outputs = natdeploy_output_count(model);
  parse(count, words);
  if ((options.input_count || options.output_count) && options.input_count != inputs)
    fail(BAD_INPUT, "--input: %d files, %d inputs; see --help", options.input_count, inputs);
  if (options.output_count > outputs) fail(BAD_INPUT, "--output: %d files, %d outputs", options.output_count, outputs);
  if (options.threads > natdeploy_max_threads(model))
    fail(BAD_INPUT, "--threads %d: the kernels of this model have work for at most %d", options.threads,
         natdeploy_max_threads(model));
  void *in[MAX_FILES] = {NULL}, *out[MAX_FILES] = {NULL};
  double *milliseconds = allocate((size_t)options.repeat * sizeof *milliseconds);
  char device[256] = "";
  if (options.input_count) {
    natdeploy_instance *instance = NULL;
    for (int i = 0; i < inputs; i++) in[i] = read_input(options.inputs[i], natdeploy_input(model, i));
    for (int i = 0; i < outputs; i++) out[i] = allocate((size_t)natdeploy_output(model, i)->bytes);
    check(natdeploy_create(model, options.threads, &instance), NULL);
    for (int i = 0; i < options.warmup; i++) check(natdeploy_run(instance, (const void **)in, out), instance);
    check(natdeploy_time(instance, (const void **)in, out, options.repeat, milliseconds), instance);
    if (natdeploy_opencl_device) snprintf(device, sizeof device, "%s", natdeploy_opencl_device(instance));
    natdeploy_destroy(instance);
  }
  for (int i = 0; i < options.output_count; i++) write_output(options.outputs[i], natdeploy_output(model, i), out[i]);
  printf("{\"arena_bytes\": %" PRIu64 ", \"constant_bytes\": %" PRIu64 ", \"max_threads\": %d, \"inputs\": [",
         natdeploy_arena_bytes(model), natdeploy_constant_bytes(model), natdeploy_max_threads(model));
  for (int i = 0; i < inputs; i++) printf(i ? ", " : ""), print_tensor(natdeploy_input(model, i), NULL), free(in[i]);
  printf("], \"outputs\": [");
  for (int i = 0; i < outputs; i++) {
    printf(i ? ", " : ""), print_tensor(natdeploy_output(model, i), i < options.output_count ? NULL : out[i]);
    free(out[i]);
  }
  printf("]");
  if (options.input_count) print_times(milliseconds);
  if (*device) printf(", \"device\": \"%s\"", device);
  free(milliseconds);
  puts("}");
  if (fflush(stdout) || ferror(stdout)) fail(FAILED, "stdout cannot be written");
  return 0;
}
