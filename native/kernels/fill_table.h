// The table of one instruction set. Only kernels/isa_*.cpp include this, each once, with GG_ISA defined:
// the templates are compiled there with the flags of that set.
#pragma once

#include "core/table.h"
#include "kernels/finite.h"
#include "kernels/gather.h"
#include "kernels/index.h"
#include "kernels/map.h"
#include "kernels/math.h"
#ifdef GG_PLAIN
#include "kernels/reference/attention.h"
#include "kernels/reference/conv.h"
#include "kernels/reference/matmul.h"
#include "kernels/reference/pool.h"
#else
#include "kernels/attention.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"
#include "kernels/pool.h"
#endif
#include "kernels/peak.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/row.h"
#include "kernels/tiny.h"

#define GG_TEXT_OF(name) #name
#define GG_TEXT(name) GG_TEXT_OF(name)

namespace glassgrad::GG_ISA {
namespace {

constexpr Table table = {
    .name = GG_TEXT(GG_ISA),
    .map = run_map,
    .reduce = run_reduce,
    .rows = run_rows,
    .matmul = run_matmul,
    .conv = run_conv,
    .row = run_row,
    .index = run_index,
    .random = run_random,
    .attention = run_attention,
    .tiny = run_tiny,
    .pool = run_pool,
    .finite_f32 = finite_f32,
    .finite_f64 = finite_f64,
    .gather_rows = gather_rows,
    .gather_bytes_f32 = gather_bytes_f32,
    .gather_bytes_f64 = gather_bytes_f64,
    .peak_f32 = run_peak<float>,
    .peak_f64 = run_peak<double>,
    .unary_f32 = run_unary<float>,
    .unary_f64 = run_unary<double>,
    .binary_f32 = run_binary<float>,
    .binary_f64 = run_binary<double>,
};

}  // namespace
}  // namespace glassgrad::GG_ISA
