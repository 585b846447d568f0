#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "infer_isa.hpp"
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

// visit(pixel, channels) for each pixel; many pixels are as one where all images lie end to end.
template <typename Visit>
void share_runs(const Image &from, const Image &to, std::size_t other_stride, Team &team,
                const Visit &visit) {
  const bool dense = from.pixel_stride == from.channels && to.pixel_stride == from.channels &&
                     other_stride == from.channels;
  share(from, team, [&](std::size_t first, std::size_t last) {
    if (dense) return visit(first, static_cast<std::uint32_t>((last - first) * from.channels));
    for (std::size_t pixel = first; pixel < last; ++pixel) visit(pixel, from.channels);
  });
}

}  // namespace

void add(const Image &from, const Image &to, const Residual &residual, const std::uint8_t *source,
         const std::uint8_t *other, std::uint8_t *target, Team &team) {
  const Addition by{residual.own, residual.theirs,
                    residual.half - from.zero * residual.own - residual.zero * residual.theirs,
                    residual.shift, residual.low, residual.high, to.zero};
  const RowKernels &kernels = *infer_kernels(chosen_isa())->rows;
  const std::size_t theirs = residual.pixel_stride;
  share_runs(from, to, theirs, team, [&](std::size_t pixel, std::uint32_t channels) {
    kernels.add(source + pixel * from.pixel_stride, other + pixel * theirs, channels, by,
                target + pixel * to.pixel_stride);
  });
}

void scale(const Image &from, const Image &to, const Rescale &rescale,
           const std::int32_t *multiplier, const std::int32_t *offset, const std::uint8_t *source,
           std::uint8_t *target, Team &team) {
  const Finish finish{rescale, {}, to.zero, Style::kGeneral, false};
  const Factors factors{&finish, multiplier, offset};
  const RowKernels &kernels = *infer_kernels(chosen_isa())->rows;
  share(from, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel)
      kernels.scale(source + pixel * from.pixel_stride, from.channels, from.zero, factors,
                    target + pixel * to.pixel_stride);
  });
}

namespace {

void look_up_bytes(const std::uint8_t *from, std::size_t count, const std::uint8_t table[256],
                   std::uint8_t *to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = table[from[i]];
}

#if defined(__x86_64__)
// 64 at a time: the byte's upper bit chooses between two tables of 128.
[[gnu::target("avx512f,avx512bw,avx512vbmi")]] void look_up_vectors(const std::uint8_t *from,
                                                                    std::size_t count,
                                                                    const std::uint8_t table[256],
                                                                    std::uint8_t *to) {
  const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
  const __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
  for (std::size_t i = 0; i < count; i += 64) {
    const std::size_t left = count - i;
    const __mmask64 some = left < 64 ? (__mmask64{1} << left) - 1 : ~__mmask64{0};
    const __m512i x = _mm512_maskz_loadu_epi8(some, from + i);
    const __m512i low = _mm512_permutex2var_epi8(a, x, b);
    const __m512i high = _mm512_permutex2var_epi8(c, x, d);
    _mm512_mask_storeu_epi8(to + i, some, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(x), high));
  }
}

bool has_vectors() {
  __builtin_cpu_init();
  return !std::strncmp(isa_name(), "avx512", 6) && __builtin_cpu_supports("avx512vbmi");
}
#else
bool has_vectors() { return false; }
constexpr auto *look_up_vectors = look_up_bytes;
#endif

}  // namespace

void look_up(const Image &from, const Image &to, const std::uint8_t table[256],
             const std::uint8_t *source, std::uint8_t *target, Team &team) {
  const auto kernel = has_vectors() ? look_up_vectors : look_up_bytes;
  const bool dense = from.pixel_stride == from.channels && to.pixel_stride == from.channels;
  share(from, team, [&](std::size_t first, std::size_t last) {
    if (dense)
      return kernel(source + first * from.channels, (last - first) * from.channels, table,
                    target + first * from.channels);
    for (std::size_t pixel = first; pixel < last; ++pixel)
      kernel(source + pixel * from.pixel_stride, from.channels, table,
             target + pixel * to.pixel_stride);
  });
}

void copy(const Image &from, const Image &to, const std::uint8_t *source, std::uint8_t *target,
          Team &team) {
  const std::int32_t shift = to.zero - from.zero;
  share(from, team, [&](std::size_t first, std::size_t last) {
    for (std::size_t pixel = first; pixel < last; ++pixel) {
      const std::uint8_t *in = source + pixel * from.pixel_stride;
      std::uint8_t *out = target + pixel * to.pixel_stride;
      if (!shift)
        std::memcpy(out, in, from.channels);
      else
        for (std::uint32_t c = 0; c < from.channels; ++c)
          out[c] = static_cast<std::uint8_t>(in[c] + shift);
    }
  });
}

namespace {

constexpr std::size_t kRunPixels = 256;  // whose bytes stay in the first cache

// visit(bytes' place, words' place, values, bytes between them) for each channel of runs of pixels
// of one image; where each image is one pixel both forms are alike, and a run is its channels.
template <typename Visit>
void pair_up(const Image &image, Team &team, const Visit &visit) {
  const std::size_t area = std::size_t{image.height} * image.width;
  share(image, team, [&](std::size_t first, std::size_t last) {
    if (area == 1) {
      for (std::size_t n = first; n < last; ++n)
        visit(n * image.pixel_stride, n * image.channels, image.channels, 1);
      return;
    }
    for (std::size_t pixel = first, count; pixel < last; pixel += count) {
      const std::size_t n = pixel / area, inner = pixel % area;
      count = std::min({last - pixel, area - inner, kRunPixels});
      for (std::uint32_t c = 0; c < image.channels; ++c)
        visit(pixel * image.pixel_stride + c, (n * image.channels + c) * area + inner, count,
              image.pixel_stride);
    }
  });
}

void narrow_run(const std::int32_t *source, std::size_t count, std::int32_t zero,
                std::uint8_t *to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<std::uint8_t>(source[i] + zero);
}

// Images of three colours, which are most inputs.
void to_triples(const Image &to, const std::int32_t *source, std::uint8_t *target, Team &team) {
  const std::size_t area = std::size_t{to.height} * to.width, stride = to.pixel_stride;
  share(to, team, [=, &to](std::size_t first, std::size_t last) {
    std::uint8_t colours[3][kRunPixels];
    for (std::size_t pixel = first, count; pixel < last; pixel += count) {
      const std::size_t n = pixel / area, inner = pixel % area;
      count = std::min({last - pixel, area - inner, kRunPixels});
      for (std::size_t c = 0; c < 3; ++c)
        narrow_run(source + (n * 3 + c) * area + inner, count, to.zero, colours[c]);
      std::uint8_t *out = target + pixel * stride;
      for (std::size_t i = 0; i < count; ++i, out += stride)
        for (std::size_t c = 0; c < 3; ++c) out[c] = colours[c][i];
    }
  });
}

}  // namespace

void to_bytes(const Image &to, const std::int32_t *source, std::uint8_t *target, Team &team) {
  if (to.channels == 3) return to_triples(to, source, target, team);
  const std::int32_t zero = to.zero;
  pair_up(to, team, [=](std::size_t byte, std::size_t word, std::size_t count, std::size_t stride) {
    if (stride == 1) return narrow_run(source + word, count, zero, target + byte);
    for (std::size_t i = 0; i < count; ++i)
      target[byte + i * stride] = static_cast<std::uint8_t>(source[word + i] + zero);
  });
}

void to_words(const Image &from, const std::uint8_t *source, std::int32_t *target, Team &team) {
  const std::int32_t zero = from.zero;
  const auto widen = [=](std::size_t byte, std::size_t word, std::size_t count,
                         std::size_t stride) {
    for (std::size_t i = 0; i < count; ++i)
      target[word + i] = source[byte + i * stride] - zero;
  };
  pair_up(from, team, widen);
}

}  // namespace farmcpu::infer
