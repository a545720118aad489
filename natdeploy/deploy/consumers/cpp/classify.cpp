// Classify a picture with the compiled library beside this folder (../../native/libmodel.so).
//
//     cmake -S . -B /tmp/classify && cmake --build /tmp/classify && /tmp/classify/classify picture.ppm
//
// (Not built in here: a bundle with other files in it does not verify.)
//
// Takes a binary PPM ("P6", 8 bits a channel; `magick photo.jpg picture.ppm` makes one), so that no image library is
// needed: cuts out the centre square, resizes it with a triangle filter as wide as the reduction (what Pillow's
// BILINEAR does), normalises, runs the model once and prints the most probable classes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "model.h"
#include "model_info.h"

namespace {

struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  // row by row, three bytes a pixel
};

Picture read_ppm(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int most = 0;
  Picture picture;
  if (!(file >> magic >> picture.width >> picture.height >> most) || magic != "P6" || most != 255 ||
      picture.width < 1 || picture.height < 1 || picture.width > 20000 || picture.height > 20000)
    throw std::runtime_error(std::string(path) + ": expected a binary PPM (P6) of 8 bits a channel");
  file.get();
  picture.pixels.resize(3u * static_cast<std::size_t>(picture.width) * picture.height);
  if (!file.read(reinterpret_cast<char *>(picture.pixels.data()), static_cast<std::streamsize>(picture.pixels.size())))
    throw std::runtime_error(std::string(path) + ": cut off");
  return picture;
}

// One direction of the resize: `lines` lines of `from` values become `to` values each; strides in elements.
std::vector<std::uint8_t> resample(const std::vector<std::uint8_t> &in, int lines, int from, int to, bool across) {
  std::vector<std::uint8_t> out(3u * static_cast<std::size_t>(lines) * to);
  const double scale = static_cast<double>(from) / to, reach = std::max(scale, 1.0);
  for (int target = 0; target < to; ++target) {
    const double centre = (target + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - reach + 0.5));
    const int last = std::min(from, static_cast<int>(centre + reach + 0.5));
    std::vector<double> weights;
    for (int source = first; source < last; ++source)
      weights.push_back(std::max(0.0, 1.0 - std::abs((source - centre + 0.5) / reach)));
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (int line = 0; line < lines; ++line)
      for (int channel = 0; channel < 3; ++channel) {
        double sum = 0.0;
        for (int source = first; source < last; ++source) {
          const auto at = across ? static_cast<std::size_t>(line) * from + source : static_cast<std::size_t>(source) * lines + line;
          sum += weights[static_cast<std::size_t>(source - first)] * in[3 * at + static_cast<std::size_t>(channel)];
        }
        const auto at = across ? static_cast<std::size_t>(line) * to + target : static_cast<std::size_t>(target) * lines + line;
        out[3 * at + static_cast<std::size_t>(channel)] =
            static_cast<std::uint8_t>(std::clamp(std::floor(sum / total + 0.5), 0.0, 255.0));
      }
  }
  return out;
}

// The network's input: planes of red, green and blue.
std::vector<float> input_of(const Picture &picture) {
  const int side = std::min(picture.width, picture.height), r = kResolution;
  const int left = (picture.width - side) / 2, top = (picture.height - side) / 2;
  std::vector<std::uint8_t> square;
  for (int y = 0; y < side; ++y) {
    const auto row = picture.pixels.begin() + 3 * (static_cast<std::ptrdiff_t>(top + y) * picture.width + left);
    square.insert(square.end(), row, row + 3 * static_cast<std::ptrdiff_t>(side));
  }
  if (side != r) square = resample(resample(square, side, side, r, true), r, side, r, false);
  std::vector<float> input(3u * static_cast<std::size_t>(r) * r);
  for (std::size_t pixel = 0; pixel < static_cast<std::size_t>(r) * r; ++pixel)
    for (std::size_t c = 0; c < 3; ++c)
      input[c * static_cast<std::size_t>(r) * r + pixel] =
          static_cast<float>(square[3 * pixel + c]) * (1.0f / (255.0f * kStd[c])) - kMean[c] / kStd[c];
  return input;
}

std::vector<float> logits_of(const std::vector<float> &image) {
  if (natdeploy_interface_version() != NATDEPLOY_INTERFACE_VERSION)
    throw std::runtime_error("libmodel and model.h are of different versions");
  natdeploy_instance *instance = nullptr;
  int status = natdeploy_create(natdeploy_default_model(), 1, &instance);
  if (status != NATDEPLOY_OK) throw std::runtime_error(natdeploy_status_text(status));
  std::vector<float> logits(std::size(kLabels));
  const void *inputs[] = {image.data()};
  void *outputs[] = {logits.data()};
  status = natdeploy_run(instance, inputs, outputs);
  const std::string said = natdeploy_last_error(instance);
  natdeploy_destroy(instance);
  if (status != NATDEPLOY_OK) throw std::runtime_error(said);
  return logits;
}

}  // namespace

int main(int count, char **arguments) try {
  if (count != 2) {
    std::cerr << "usage: classify PICTURE.ppm\n";
    return 2;
  }
  const std::vector<float> logits = logits_of(input_of(read_ppm(arguments[1])));
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - most));
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  for (std::size_t i = 0; i < std::min<std::size_t>(5, order.size()); ++i)
    std::printf("%.4f  %s\n", std::exp(static_cast<double>(logits[order[i]] - most)) / sum, kLabels[order[i]]);
  return 0;
} catch (const std::exception &error) {
  std::cerr << "classify: " << error.what() << "\n";
  return 2;
}
