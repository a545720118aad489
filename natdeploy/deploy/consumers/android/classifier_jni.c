/* What Classifier.kt calls: the model's C interface (model.h) for Java's. */
#include <jni.h>
#include <stdint.h>

#include "model.h"

static void fail(JNIEnv *env, const char *text) {
  jclass kind = (*env)->FindClass(env, "java/lang/IllegalStateException");
  if (kind) (*env)->ThrowNew(env, kind, text);
}

JNIEXPORT jlong JNICALL Java_natdeploy_Classifier_create(JNIEnv *env, jobject self, jint threads) {
  (void)self;
  natdeploy_instance *instance = 0;
  int status = natdeploy_create(natdeploy_default_model(), threads, &instance);
  if (status != NATDEPLOY_OK) fail(env, natdeploy_status_text(status));
  return (jlong)(intptr_t)instance;
}

JNIEXPORT void JNICALL Java_natdeploy_Classifier_run(JNIEnv *env, jobject self, jlong handle, jfloatArray input,
                                                      jfloatArray logits) {
  (void)self;
  natdeploy_instance *instance = (natdeploy_instance *)(intptr_t)handle;
  const natdeploy_model *model = natdeploy_default_model();
  if (!instance ||
      (uint64_t)(*env)->GetArrayLength(env, input) * sizeof(float) != natdeploy_input(model, 0)->bytes ||
      (uint64_t)(*env)->GetArrayLength(env, logits) * sizeof(float) != natdeploy_output(model, 0)->bytes) {
    fail(env, "closed, or an array of another length than the model's");
    return;
  }
  jfloat *from = (*env)->GetFloatArrayElements(env, input, 0);
  jfloat *to = (*env)->GetFloatArrayElements(env, logits, 0);
  if (from && to) {
    const void *inputs[] = {from};
    void *outputs[] = {to};
    if (natdeploy_run(instance, inputs, outputs) != NATDEPLOY_OK) fail(env, natdeploy_last_error(instance));
  }
  if (from) (*env)->ReleaseFloatArrayElements(env, input, from, JNI_ABORT);
  if (to) (*env)->ReleaseFloatArrayElements(env, logits, to, 0);
}

JNIEXPORT void JNICALL Java_natdeploy_Classifier_destroy(JNIEnv *env, jobject self, jlong handle) {
  (void)env, (void)self;
  natdeploy_destroy((natdeploy_instance *)(intptr_t)handle);
}
