#include <algorithm>
#include <cstring>

#include "infer_scalar.hpp"

namespace farmcpu::infer {
namespace {

constexpr std::size_t kTaskBytes = 32768;
constexpr std::size_t kMaxTasks = 4096;

// visit(first, last) over the image's pixels, in parts worth a thread.
template <typename Visit>
void share(const Image &image, Team &team, const Visit &visit) {
  const std::size_t count = pixels(image), bytes = count * image.channels;
  const std::size_t tasks = std::clamp<std::size_t>(bytes / kTaskBytes, 1, kMaxTasks);
  team.run(static_cast<std::uint32_t>(tasks), [&](std::uint32_t task, std::uint32_t) {
    visit(count * task / tasks, count * (task + 1) / tasks);
  });
}

// to = convert(from, channel) for each byte.
template <typename Convert>
void map(const Image &from, const Image &to, const std::uint8_t *source, std::uint8_t *target,
         Team &team, const Convert &convert) {
  share(from, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel) {
      const std::uint8_t *in = source + pixel * from.pixel_stride;
      std::uint8_t *out = target + pixel * to.pixel_stride;
      for (std::uint32_t c = 0; c < from.channels; ++c)
        out[c] = static_cast<std::uint8_t>(convert(in[c], c));
    }
  });
}

}  // namespace

void add(const Image &from, const Image &to, const Residual &residual, const std::uint8_t *source,
         const std::uint8_t *other, std::uint8_t *target, Team &team) {
  share(from, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel)
      for (std::uint32_t c = 0; c < from.channels; ++c) {
        const std::int32_t own = source[pixel * from.pixel_stride + c] - from.zero;
        const std::int32_t theirs = other[pixel * residual.pixel_stride + c] - residual.zero;
        target[pixel * to.pixel_stride + c] =
            static_cast<std::uint8_t>(join_one(own, theirs, residual) + to.zero);
      }
  });
}

void scale(const Image &from, const Image &to, const Rescale &rescale,
           const std::int32_t *multiplier, const std::int32_t *offset, const std::uint8_t *source,
           std::uint8_t *target, Team &team) {
  map(from, to, source, target, team, [&](std::uint8_t byte, std::uint32_t c) {
    return rescale_one(byte - from.zero, rescale, multiplier[c], offset[c]) + to.zero;
  });
}

void look_up(const Image &from, const Image &to, const std::uint8_t table[256],
             const std::uint8_t *source, std::uint8_t *target, Team &team) {
  map(from, to, source, target, team,
      [&](std::uint8_t byte, std::uint32_t) { return table[byte]; });
}

void copy(const Image &from, const Image &to, const std::uint8_t *source, std::uint8_t *target,
          Team &team) {
  const std::int32_t shift = to.zero - from.zero;
  if (shift)
    return map(from, to, source, target, team,
               [&](std::uint8_t byte, std::uint32_t) { return byte + shift; });
  share(from, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel)
      std::memcpy(target + pixel * to.pixel_stride, source + pixel * from.pixel_stride,
                  from.channels);
  });
}

namespace {

// visit(byte's place, word's place) for each value, image by image and channel by channel.
template <typename Visit>
void pair_up(const Image &image, Team &team, const Visit &visit) {
  const std::size_t area = std::size_t{image.height} * image.width;
  share(image, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel) {
      const std::size_t n = pixel / area, inner = pixel % area;
      for (std::uint32_t c = 0; c < image.channels; ++c)
        visit(pixel * image.pixel_stride + c, (n * image.channels + c) * area + inner);
    }
  });
}

}  // namespace

void to_bytes(const Image &to, const std::int32_t *source, std::uint8_t *target, Team &team) {
  pair_up(to, team, [&](std::size_t byte, std::size_t word) {
    target[byte] = static_cast<std::uint8_t>(source[word] + to.zero);
  });
}

void to_words(const Image &from, const std::uint8_t *source, std::int32_t *target, Team &team) {
  pair_up(from, team, [&](std::size_t byte, std::size_t word) {
    target[word] = source[byte] - from.zero;
  });
}

}  // namespace farmcpu::infer
