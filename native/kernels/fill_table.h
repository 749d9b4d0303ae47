// The table of one instruction set. Only kernels/isa_*.cpp include this, each once, with GG_ISA defined:
// the templates are compiled there with the flags of that set.
#pragma once

#include "core/table.h"

#define GG_TEXT_OF(name) #name
#define GG_TEXT(name) GG_TEXT_OF(name)

namespace glassgrad::GG_ISA {
namespace {

constexpr Table table = {
    .name = GG_TEXT(GG_ISA),
    .map = nullptr,
    .reduce = nullptr,
    .matmul = nullptr,
    .row = nullptr,
    .index = nullptr,
    .random = nullptr,
    .tiny = nullptr,
    .finite_f32 = nullptr,
    .finite_f64 = nullptr,
    .unary_f32 = nullptr,
    .unary_f64 = nullptr,
};

}  // namespace
}  // namespace glassgrad::GG_ISA
