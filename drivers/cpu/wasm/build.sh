#!/bin/sh
# Builds the CPU's core for browsers, web/public/farmcpu.wasm: sh drivers/cpu/wasm/build.sh [python]
# The compiler is the package ziglang of that Python (an absolute path, or on PATH). No threads, and
# vectors of 128 bits.
set -eu
cd "$(dirname "$0")/.."
native=native
sources="cuckoo_api cuckoo_cycles cuckoo_edges cuckoo_lean cuckoo_mean cuckoo_recovery
  cuckoo_verify infer_channels infer_convolution infer_direct infer_elementwise infer_isa
  infer_multiply infer_narrow infer_packing infer_plain infer_pool infer_rows infer_team
  infer_tiles infer_window infer_winograd isa lean_plan mean_chunks isa_kernels mean_kernels
  operators operators_arrangement operators_convolution operators_detection
  operators_elementwise operators_layout operators_normalisation operators_pooling
  operators_reduction operators_regions operators_sampling operators_scaling
  program program_api program_text siphash window"
files=wasm/exceptions.cpp
for source in $sources; do files="$files $native/$source.cpp"; done
exports=""
for name in malloc free farmcpu_solver_create farmcpu_solver_free farmcpu_solve \
  farmcpu_program_load farmcpu_program_free farmcpu_program_input_words \
  farmcpu_program_output_words farmcpu_program_run; do
  exports="$exports -Wl,--export=$name"
done
# shellcheck disable=SC2086  # one word a file
exec "${1:-python3}" -m ziglang c++ -target wasm32-wasi -mexec-model=reactor -std=c++20 -O3 \
  -msimd128 -fwrapv -fno-math-errno -Wall -Wextra -DFARMCPU_ISA=baseline \
  -DFARMCPU_VECTOR_BYTES=16 -I../kernels $files -Wl,--max-memory=536870912 -s $exports \
  -o ../../web/public/farmcpu.wasm
