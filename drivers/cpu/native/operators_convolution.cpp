// conv1d, conv2d, conv3d, and their transposes.
#include <algorithm>
#include <cstring>

#include "isa.hpp"
#include "window.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kMostPaddedWords = 1 << 27;

class Convolution {
 public:
  explicit Convolution(const Operands &step)
      : win_(check(step)), groups_(step.number("groups", 1, 1 << 24, 1)),
        x_(step.in(0).words.data()), weights_(step.in(1).words.data()),
        y_(step.out().words.data()), channels_(step.in(1).shape[0]),
        bias_(bias_of(step, channels_)), multiply_add_(kernels().multiply_add) {
    for (std::size_t d = 0; d < 3; ++d)
      padded_size_[d] = win_.size[d] + win_.before[d] + win_.after[d];
    pitch_ = is_dense() ? padded_size_ : win_.out;
    const auto padded = static_cast<std::size_t>(win_.c * volume(padded_size_));
    const auto sums = static_cast<std::size_t>(volume(pitch_));
    take_memory(*step.memory_left, (padded + sums) * sizeof(int32_t));
    padded_.resize(padded);
    sums_.resize(sums);
  }

  void run() {
    for (int64_t n = 0; n < win_.n; ++n) {
      pad(x_ + n * win_.c * volume(win_.size));
      for (int64_t o = 0; o < channels_; ++o)
        convolve(o, y_ + (n * channels_ + o) * volume(win_.out));
    }
  }

 private:
  static Window check(const Operands &step) {
    step.take(2, 3);
    const Shape &x = step.in(0).shape, &w = step.in(1).shape;
    const int64_t groups = step.number("groups", 1, 1 << 24, 1);
    step.require(w.size() == x.size() && w.size() >= 3, "needs (n, c, ...) and (o, c, ...)");
    step.require(x[1] % groups == 0 && w[0] % groups == 0 && w[1] == x[1] / groups,
                 "groups, channels and weights do not fit together");
    Window win = read_window(step, x, Numbers(w.begin() + 2, w.end()));
    count_positions(step, win, false);
    step.require_shape(shape_of(win, w[0], x));
    int64_t room = kMostPaddedWords / win.c;
    for (std::size_t d = 0; d < 3; ++d) room /= win.size[d] + win.before[d] + win.after[d];
    step.require(room > 0, "the padded input would be too large");
    return win;
  }

  // With strides of 1 sums lie as the padded input does, so that one pass goes over the whole
  // image; what lies between the rows is never read.
  bool is_dense() const { return volume(win_.stride) == 1; }

  int64_t at(const Extent &size, int64_t plane, int64_t row) const {
    return (plane * size[1] + row) * size[2];
  }

  void pad(const int32_t *image) {
    for (int64_t c = 0; c < win_.c; ++c)
      for (int64_t p = 0; p < win_.size[0]; ++p)
        for (int64_t r = 0; r < win_.size[1]; ++r) {
          int32_t *to = &padded_[static_cast<std::size_t>(c * volume(padded_size_) + win_.before[2] +
                                 at(padded_size_, p + win_.before[0], r + win_.before[1]))];
          std::memcpy(to, image, static_cast<std::size_t>(win_.size[2]) * sizeof(int32_t));
          image += win_.size[2];
        }
  }

  void convolve(int64_t o, int32_t *y) {
    const int64_t inputs = win_.c / groups_, first = o / (channels_ / groups_) * inputs;
    std::fill(sums_.begin(), sums_.end(), bias_ ? bias_[o] : 0);
    const int32_t *weight = weights_ + o * inputs * volume(win_.kernel);
    for (int64_t c = first; c < first + inputs; ++c)
      for (int64_t k = 0; k < win_.kernel[0]; ++k)
        for (int64_t i = 0; i < win_.kernel[1]; ++i)
          for (int64_t j = 0; j < win_.kernel[2]; ++j)
            if (const int32_t w = *weight++)
              add(c * volume(padded_size_) + j * win_.dilation[2] +
                      at(padded_size_, k * win_.dilation[0], i * win_.dilation[1]),
                  w);
    for (int64_t p = 0; p < win_.out[0]; ++p)
      for (int64_t r = 0; r < win_.out[1]; ++r, y += win_.out[2])
        std::memcpy(y, &sums_[static_cast<std::size_t>(at(pitch_, p, r))],
                    static_cast<std::size_t>(win_.out[2]) * sizeof(int32_t));
  }

  void add(int64_t offset, int32_t weight) {
    const int32_t *from = padded_.data() + offset;
    if (is_dense()) {
      const int64_t count = at(pitch_, win_.out[0] - 1, win_.out[1] - 1) + win_.out[2];
      multiply_add_(sums_.data(), from, weight, static_cast<std::size_t>(count), 1);
      return;
    }
    for (int64_t p = 0; p < win_.out[0]; ++p)
      for (int64_t r = 0; r < win_.out[1]; ++r)
        multiply_add_(&sums_[static_cast<std::size_t>(at(pitch_, p, r))],
                      from + at(padded_size_, p * win_.stride[0], r * win_.stride[1]), weight,
                      static_cast<std::size_t>(win_.out[2]),
                      static_cast<std::size_t>(win_.stride[2]));
  }

  Window win_;
  int64_t groups_;
  const int32_t *x_, *weights_;
  int32_t *y_;
  int64_t channels_;
  const int32_t *bias_;
  Extent padded_size_{}, pitch_{};
  std::vector<int32_t> padded_, sums_;
  decltype(Kernels::multiply_add) multiply_add_;
};

Kernel convolve(const Operands &step) {
  return [convolution = Convolution(step)]() mutable { convolution.run(); };
}

// Each input element times the kernel is added where it falls.
class Deconvolution {
 public:
  explicit Deconvolution(const Operands &step)
      : win_(check(step)), groups_(step.number("groups", 1, 1 << 24, 1)),
        channels_(step.in(1).shape[1] * groups_), x_(step.in(0).words.data()),
        weights_(step.in(1).words.data()), bias_(bias_of(step, channels_)),
        y_(step.out().words.data()) {}

  void run() const {
    const int64_t inputs = win_.c / groups_, outputs = channels_ / groups_;
    for (int64_t n = 0; n < win_.n; ++n)
      for (int64_t o = 0; o < channels_; ++o) {
        int32_t *y = y_ + (n * channels_ + o) * volume(win_.out);
        std::fill(y, y + volume(win_.out), bias_ ? bias_[o] : 0);
        for (int64_t c = o / outputs * inputs; c < (o / outputs + 1) * inputs; ++c)
          spread(x_ + (n * win_.c + c) * volume(win_.size),
                 weights_ + (c * outputs + o % outputs) * volume(win_.kernel), y);
      }
  }

 private:
  static Window check(const Operands &step) {
    step.take(2, 3);
    const Shape &x = step.in(0).shape, &w = step.in(1).shape;
    const int64_t groups = step.number("groups", 1, 1 << 24, 1);
    step.require(w.size() == x.size() && w.size() >= 3, "needs (n, c, ...) and (c, o, ...)");
    step.require(w[0] == x[1] && x[1] % groups == 0 && w[1] <= (1 << 24) / groups,
                 "groups, channels and weights do not fit together");
    Window win = read_window(step, x, Numbers(w.begin() + 2, w.end()));
    const Shape &y = step.out().shape;
    step.require(y.size() == x.size(), "the output has other dimensions");
    for (std::size_t d = 0; d < 3; ++d) {
      const std::size_t place = d + x.size() - 3;  // counted from the end
      win.out[d] = d + x.size() < 5 ? 1 : y[place];
      const int64_t least =
          (win.size[d] - 1) * win.stride[d] + win.spread(d) - win.before[d] - win.after[d];
      step.require(win.out[d] >= least &&
                       win.out[d] - least < std::max(win.stride[d], win.dilation[d]),
                   "the output does not follow from the window");
    }
    step.require_shape(shape_of(win, w[1] * groups, x));
    return win;
  }

  void spread(const int32_t *x, const int32_t *weight, int32_t *y) const {
    for (int64_t k = 0; k < win_.kernel[0]; ++k)
      for (int64_t i = 0; i < win_.kernel[1]; ++i)
        for (int64_t j = 0; j < win_.kernel[2]; ++j) add({k, i, j}, x, *weight++, y);
  }

  // Where an input position falls for a tap.
  int64_t target(std::size_t d, int64_t position, int64_t tap) const {
    return position * win_.stride[d] + tap * win_.dilation[d] - win_.before[d];
  }

  void add(const Extent &tap, const int32_t *x, int32_t weight, int32_t *y) const {
    for (int64_t p = 0; p < win_.size[0]; ++p)
      for (int64_t r = 0; r < win_.size[1]; ++r, x += win_.size[2]) {
        const int64_t plane = target(0, p, tap[0]), row = target(1, r, tap[1]);
        if (plane < 0 || plane >= win_.out[0] || row < 0 || row >= win_.out[1]) continue;
        int32_t *to = y + (plane * win_.out[1] + row) * win_.out[2];
        for (int64_t q = 0; q < win_.size[2]; ++q)
          if (const int64_t at = target(2, q, tap[2]); at >= 0 && at < win_.out[2])
            to[at] += weight * x[q];
      }
  }

  Window win_;
  int64_t groups_, channels_;
  const int32_t *x_, *weights_, *bias_;
  int32_t *y_;
};

Kernel deconvolve(const Operands &step) {
  return [deconvolution = Deconvolution(step)] { deconvolution.run(); };
}

}  // namespace

const Table &convolution_operators() {
  static const Table table = {
      {"conv1d", convolve},
      {"conv2d", convolve},
      {"conv3d", convolve},
      {"conv_transpose1d", deconvolve},
      {"conv_transpose2d", deconvolve},
      {"conv_transpose3d", deconvolve},
  };
  return table;
}

}  // namespace farmcpu
