// Operators that combine many elements into one: dense, conv2d, max_pool2d, sum, max.
#include <algorithm>
#include <cstring>

#include "isa.hpp"
#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

const int32_t *bias_of(const Operands &step, int64_t channels) {
  if (step.inputs.size() < 3) return nullptr;
  step.require(step.in(2).shape == Shape{channels}, "the bias must be one number a channel");
  return step.in(2).words.data();
}

Kernel dense(const Operands &step) {
  step.take(2, 3);
  const Shape &x = step.in(0).shape, &w = step.in(1).shape;
  step.require(x.size() == 2 && w.size() == 2 && x[1] == w[1], "needs (n, k) and (units, k)");
  step.require_shape({x[0], w[0]});
  return [rows = x[0], units = w[0], k = x[1], bias = bias_of(step, w[0]),
          a = step.in(0).words.data(), b = step.in(1).words.data(), y = step.out().words.data(),
          dot = kernels().dot] {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t u = 0; u < units; ++u)
        y[r * units + u] = dot(a + r * k, b + u * k, k) + (bias ? bias[u] : 0);
  };
}

// Sizes of a two-dimensional window over (n, c, h, w).
struct Window {
  int64_t n, c, h, w;             // input
  int64_t kh, kw, sh, sw;         // kernel and stride
  int64_t ph, pw, dh, dw;         // padding and dilation
  int64_t oh, ow;                 // output

  int64_t padded_h() const { return h + 2 * ph; }
  int64_t padded_w() const { return w + 2 * pw; }
};

Window window_of(const Operands &step, const Shape &x, int64_t kh, int64_t kw, bool rounds_up) {
  const Numbers s = step.pair("strides", 1, 4096, 1), p = step.pair("padding", 0, 4096, 0);
  const Numbers d = step.pair("dilation", 1, 4096, 1);
  Window win{x[0], x[1], x[2], x[3], kh, kw, s[0], s[1], p[0], p[1], d[0], d[1], 0, 0};
  const int64_t room_h = win.padded_h() - win.dh * (kh - 1) - 1;
  const int64_t room_w = win.padded_w() - win.dw * (kw - 1) - 1;
  step.require(room_h >= 0 && room_w >= 0, "the window is larger than the padded input");
  win.oh = (room_h + (rounds_up ? win.sh - 1 : 0)) / win.sh + 1;
  win.ow = (room_w + (rounds_up ? win.sw - 1 : 0)) / win.sw + 1;
  return win;
}

constexpr int64_t kMostPaddedWords = 1 << 27;

class Convolution {
 public:
  explicit Convolution(const Operands &step)
      : win_(check(step)), groups_(step.number("groups", 1, 4096, 1)),
        x_(step.in(0).words.data()), weights_(step.in(1).words.data()),
        y_(step.out().words.data()), channels_(step.in(1).shape[0]),
        bias_(bias_of(step, channels_)), padded_(win_.c * win_.padded_h() * win_.padded_w()),
        sums_(pitch() * win_.oh), multiply_add_(kernels().multiply_add) {}

  void run() {
    for (int64_t n = 0; n < win_.n; ++n) {
      pad(x_ + n * win_.c * win_.h * win_.w);
      for (int64_t o = 0; o < channels_; ++o)
        convolve(o, y_ + (n * channels_ + o) * win_.oh * win_.ow);
    }
  }

 private:
  static Window check(const Operands &step) {
    step.take(2, 3);
    const Shape &x = step.in(0).shape, &w = step.in(1).shape;
    const int64_t groups = step.number("groups", 1, 4096, 1);
    step.require(x.size() == 4 && w.size() == 4, "needs (n, c, h, w) and (o, c, kh, kw)");
    step.require(x[1] % groups == 0 && w[0] % groups == 0 && w[1] == x[1] / groups,
                 "groups, channels and weights do not fit together");
    const Window win = window_of(step, x, w[2], w[3], false);
    step.require_shape({x[0], w[0], win.oh, win.ow});
    step.require(win.c * win.padded_h() <= kMostPaddedWords / win.padded_w(),
                 "the padded input would be too large");
    return win;
  }

  // With stride 1 sums lie in rows as wide as the padded input, so that one pass goes over
  // the whole plane; the columns between the rows are never read.
  bool is_dense() const { return win_.sw == 1 && win_.sh == 1; }
  int64_t pitch() const { return is_dense() ? win_.padded_w() : win_.ow; }

  void pad(const int32_t *image) {
    for (int64_t c = 0; c < win_.c; ++c)
      for (int64_t r = 0; r < win_.h; ++r) {
        const int64_t row = c * win_.padded_h() + r + win_.ph;
        std::memcpy(&padded_[row * win_.padded_w() + win_.pw], image + (c * win_.h + r) * win_.w,
                    win_.w * sizeof(int32_t));
      }
  }

  void convolve(int64_t o, int32_t *y) {
    const int64_t inputs = win_.c / groups_, first = o / (channels_ / groups_) * inputs;
    std::fill(sums_.begin(), sums_.end(), bias_ ? bias_[o] : 0);
    const int32_t *weight = weights_ + o * inputs * win_.kh * win_.kw;
    for (int64_t c = first; c < first + inputs; ++c)
      for (int64_t i = 0; i < win_.kh; ++i)
        for (int64_t j = 0; j < win_.kw; ++j)
          if (const int32_t w = *weight++) add(c, i * win_.dh, j * win_.dw, w);
    for (int64_t r = 0; r < win_.oh; ++r)
      std::memcpy(y + r * win_.ow, &sums_[r * pitch()], win_.ow * sizeof(int32_t));
  }

  void add(int64_t channel, int64_t down, int64_t right, int32_t weight) {
    const int32_t *from = &padded_[(channel * win_.padded_h() + down) * win_.padded_w() + right];
    if (is_dense()) {
      multiply_add_(sums_.data(), from, weight, (win_.oh - 1) * pitch() + win_.ow, 1);
      return;
    }
    for (int64_t r = 0; r < win_.oh; ++r)
      multiply_add_(&sums_[r * win_.ow], from + r * win_.sh * win_.padded_w(), weight, win_.ow,
                    win_.sw);
  }

  Window win_;
  int64_t groups_;
  const int32_t *x_, *weights_;
  int32_t *y_;
  int64_t channels_;
  const int32_t *bias_;
  std::vector<int32_t> padded_, sums_;
  decltype(Kernels::multiply_add) multiply_add_;
};

Kernel conv2d(const Operands &step) {
  return [convolution = Convolution(step)]() mutable { convolution.run(); };
}

int32_t pool_one(const Window &win, const int32_t *plane, int64_t row, int64_t column) {
  int32_t highest = INT32_MIN;
  for (int64_t i = 0; i < win.kh; ++i)
    for (int64_t j = 0; j < win.kw; ++j) {
      const int64_t r = row * win.sh + i - win.ph, c = column * win.sw + j - win.pw;
      if (0 <= r && r < win.h && 0 <= c && c < win.w)
        highest = std::max(highest, plane[r * win.w + c]);
    }
  return highest;
}

Kernel max_pool2d(const Operands &step) {
  step.take(1);
  const Shape &x = step.in(0).shape;
  step.require(x.size() == 4, "the input must be (n, c, h, w)");
  step.require(!step.has("dilation"), "a pool has no dilation");
  step.require(step.has("pool_size"), "pool_size is missing");
  const Numbers pool = step.pair("pool_size", 1, 4096, 1);
  const bool rounds_up = step.number("ceil_mode", 0, 1, 0);
  const Window win = window_of(step, x, pool[0], pool[1], rounds_up);
  step.require_shape({x[0], x[1], win.oh, win.ow});
  return [win, from = step.in(0).words.data(), y = step.out().words.data()] {
    int32_t *to = y;
    for (int64_t plane = 0; plane < win.n * win.c; ++plane)
      for (int64_t r = 0; r < win.oh; ++r)
        for (int64_t c = 0; c < win.ow; ++c)
          *to++ = pool_one(win, from + plane * win.h * win.w, r, c);
  };
}

using Combine = int32_t (*)(int32_t, int32_t);

// Axes that are reduced, by position.
std::vector<bool> reduced_axes(const Operands &step, std::size_t dimensions) {
  std::vector<bool> reduced(dimensions);
  for (int64_t number : step.has("axis") ? step.numbers("axis") : Numbers{}) {
    const std::size_t axis = step.axis(number, dimensions);
    step.require(!reduced[axis], "axis names one twice");
    reduced[axis] = true;
  }
  if (step.number("exclude", 0, 1, 0)) reduced.flip();
  return reduced;
}

Kernel reduce_all(const Operands &step, Combine combine) {
  step.require(step.out().size() == 1, "the output must be one number");
  return [x = &step.in(0), y = step.out().words.data(), combine] {
    int32_t sum = 0;
    for (int32_t value : x->words) sum = combine(sum, value);
    y[0] = sum;
  };
}

// Offsets where each output begins. As in the official runtime, the output's dimensions other
// than 1 are matched from the last to the kept input axes *including* those of size 1; where
// a kept axis of size 1 lies between others this reads other elements than one would expect,
// and consensus is what the runtime does.
Offsets start_offsets(const Operands &step, const std::vector<bool> &reduced) {
  const Shape &shape = step.in(0).shape;
  const Numbers strides = strides_of(shape);
  Numbers kept_strides, sizes;
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (!reduced[d]) kept_strides.push_back(strides[d]);
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (!reduced[d] && shape[d] != 1) sizes.push_back(shape[d]);
  AxisOffsets axes;
  const std::size_t skipped = kept_strides.size() - sizes.size();
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    axes.emplace_back();
    for (int64_t i = 0; i < sizes[k]; ++i) axes.back().push_back(i * kept_strides[k + skipped]);
  }
  return flatten_offsets(axes);
}

Kernel reduce(const Operands &step, Combine combine) {
  step.take(1);
  const Shape &shape = step.in(0).shape;
  const auto reduced = reduced_axes(step, shape.size());
  if (std::none_of(reduced.begin(), reduced.end(), [](bool r) { return r; })) {
    if (!step.number("exclude", 0, 1, 0)) return reduce_all(step, combine);
    step.require_same_size();
    return [x = &step.in(0), y = &step.out()] { y->words = x->words; };
  }
  const Numbers strides = strides_of(shape);
  AxisOffsets axes;
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (reduced[d]) {
      axes.emplace_back();
      for (int64_t i = 0; i < shape[d]; ++i) axes.back().push_back(i * strides[d]);
    }
  auto starts = start_offsets(step, reduced);
  step.require(step.out().size() == static_cast<int64_t>(starts.size()),
               "the output does not follow from the axes");
  return [starts = std::move(starts), offsets = flatten_offsets(axes),
          x = step.in(0).words.data(), y = step.out().words.data(), combine] {
    for (std::size_t i = 0; i < starts.size(); ++i) {
      int32_t sum = x[starts[i]];
      for (std::size_t k = 1; k < offsets.size(); ++k) sum = combine(sum, x[starts[i] + offsets[k]]);
      y[i] = sum;
    }
  };
}

Kernel sum(const Operands &step) {
  return reduce(step, [](int32_t a, int32_t b) { return a + b; });
}

Kernel max(const Operands &step) {
  return reduce(step, [](int32_t a, int32_t b) { return std::max(a, b); });
}

}  // namespace

const Table &window_operators() {
  static const Table table = {
      {"dense", dense}, {"conv2d", conv2d}, {"max_pool2d", max_pool2d}, {"sum", sum}, {"max", max},
  };
  return table;
}

}  // namespace farmcpu
