// How the windows of a convolution lie in memory: as they are, or as copied rows with padding.
#pragma once

#include <vector>

#include "infer_isa.hpp"
#include "infer_kernels.hpp"
#include "infer_packing.hpp"

namespace farmcpu::infer {

struct Layout {
  bool copies;                        // else windows are read from the source itself
  std::uint32_t element_bytes;
  std::uint32_t pixel_bytes, row_bytes;  // of what is read
  std::uint32_t width;                // pixels of a row that is read
  std::uint32_t inner, outer;         // channels of a group
  bool merged;                        // a tap is a whole row of the window
  std::uint32_t tap_count, tap_steps;

  std::size_t steps() const { return std::size_t{tap_count} * tap_steps; }
};

Layout lay_out(const InferKernels &isa, const Convolution &layer);
// Byte in a window of each tap.
std::vector<std::uint32_t> list_taps(const Layout &layout, const Window &window);
// Where the weight of element `element` of tap `tap` lies in (in, rows, columns); -1: it is 0.
std::ptrdiff_t find_weight(const Layout &layout, const Window &window, std::uint32_t tap,
                           std::uint32_t element);

// Rows of the target [first, last), counted through the whole batch, and what they read.
struct Band {
  std::size_t first, last;
};

std::size_t input_rows(const Window &window, std::size_t output_rows);
// Bytes that copy_band writes; 0 if the layout copies nothing.
std::size_t band_bytes(const Layout &layout, const Convolution &layer, const Band &band);
// Copies what the band reads to `rows`, and writes the byte where each pixel's window begins,
// counted from what is returned.
const std::uint8_t *prepare_band(const InferKernels &isa, const Layout &layout,
                                 const Convolution &layer, const Band &band,
                                 const std::uint8_t *source, std::uint8_t *rows,
                                 std::uint32_t *starts);

}  // namespace farmcpu::infer
