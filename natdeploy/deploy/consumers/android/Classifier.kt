package natdeploy

import android.graphics.Bitmap
import java.io.Closeable

/**
 * The compiled model in an Android app, through classifier_jni.c beside this file.
 *
 * `natdeploy compile model.onnx --device DEVICE` makes libmodel.a and model.h for a phone; the app's CMakeLists.txt then
 * needs, with both copied beside classifier_jni.c:
 *
 *     add_library(model STATIC IMPORTED)
 *     set_target_properties(model PROPERTIES IMPORTED_LOCATION ${CMAKE_CURRENT_SOURCE_DIR}/libmodel.a)
 *     add_library(classifier SHARED classifier_jni.c)
 *     target_link_libraries(classifier PRIVATE model)
 *
 * One Classifier computes one picture at a time; give each thread its own.
 */
class Classifier(
    private val labels: List<String>, // labels.json
    private val resolution: Int, // these three: preprocess.json
    private val mean: FloatArray,
    private val std: FloatArray,
) : Closeable {
    private var instance = create(1)

    /** Labels with their probabilities, the most probable first. */
    fun classify(picture: Bitmap, top: Int = 5): List<Pair<String, Float>> {
        val logits = FloatArray(labels.size)
        run(instance, inputOf(picture), logits)
        val most = logits.max()
        val shares = logits.map { kotlin.math.exp(it - most) }
        val sum = shares.sum()
        return labels.indices.sortedByDescending { shares[it] }.take(top).map { labels[it] to shares[it] / sum }
    }

    override fun close() {
        destroy(instance)
        instance = 0
    }

    private fun inputOf(picture: Bitmap): FloatArray {
        val side = minOf(picture.width, picture.height)
        val square = Bitmap.createBitmap(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side)
        // Filters by two pixels only: reduce large photographs by halves first, as the model was trained on averages.
        var small = square
        while (small.width >= 2 * resolution) {
            small = Bitmap.createScaledBitmap(small, small.width / 2, small.height / 2, true)
        }
        small = Bitmap.createScaledBitmap(small, resolution, resolution, true)
        val pixels = IntArray(resolution * resolution)
        small.getPixels(pixels, 0, resolution, 0, 0, resolution, resolution)
        val input = FloatArray(3 * pixels.size)
        for (channel in 0..2) {
            val shift = 16 - 8 * channel
            for (i in pixels.indices) {
                input[channel * pixels.size + i] =
                    ((pixels[i] shr shift and 0xff) / 255f - mean[channel]) / std[channel]
            }
        }
        return input
    }

    private external fun create(threads: Int): Long

    private external fun run(instance: Long, input: FloatArray, logits: FloatArray)

    private external fun destroy(instance: Long)

    companion object {
        init {
            System.loadLibrary("classifier")
        }
    }
}
