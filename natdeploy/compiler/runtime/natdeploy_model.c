/* What a model is and what statuses mean, whatever runs it. See natdeploy.h. */
#include "natdeploy_plan.h"

int natdeploy_interface_version(void) { return NATDEPLOY_INTERFACE_VERSION; }

int natdeploy_input_count(const natdeploy_model *model) { return model ? model->input_count : 0; }

int natdeploy_output_count(const natdeploy_model *model) { return model ? model->output_count : 0; }

const natdeploy_tensor *natdeploy_input(const natdeploy_model *model, int index) {
  return model && index >= 0 && index < model->input_count ? &model->inputs[index].description : NULL;
}

const natdeploy_tensor *natdeploy_output(const natdeploy_model *model, int index) {
  return model && index >= 0 && index < model->output_count ? &model->outputs[index].description : NULL;
}

uint64_t natdeploy_arena_bytes(const natdeploy_model *model) { return model ? model->arena_bytes : 0; }

uint64_t natdeploy_constant_bytes(const natdeploy_model *model) { return model ? model->constant_bytes : 0; }

int natdeploy_call_count(const natdeploy_model *model) { return model ? model->call_count : 0; }

const char *natdeploy_call_name(const natdeploy_model *model, int index) {
  return model && index >= 0 && index < model->call_count ? model->calls[index].name : NULL;
}

int natdeploy_max_threads(const natdeploy_model *model) { return model ? model->max_parts : 0; }

const char *natdeploy_status_text(int status) {
  static const char *const TEXTS[] = {
      "done", "bad argument", "out of memory", "a kernel refused its arguments", "the monotonic clock cannot be read",
      "more threads than the model has work for", "no OpenCL library, or it has no device",
      "the OpenCL device cannot run these kernels", "a call of the OpenCL device failed"};
  return status >= 0 && status < (int)(sizeof TEXTS / sizeof *TEXTS) ? TEXTS[status] : "unknown status";
}
