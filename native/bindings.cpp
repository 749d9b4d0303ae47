// The native executor's face towards Python: the only file that knows it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "core/table.h"
#include "core/types.h"

namespace nb = nanobind;
using namespace glassgrad;

namespace {

// Every name that plans are written in, with its number.
nb::dict catalogue() {
  nb::dict kernels, operations, reductions, dtypes;
#define GG_KERNEL(name) kernels[#name] = static_cast<int64_t>(Kernel::name);
#define GG_OPERATION(name) operations[#name] = static_cast<int64_t>(Operation::name);
#define GG_REDUCTION(name) reductions[#name] = static_cast<int64_t>(Reduction::name);
#include "core/catalogue.def"
#undef GG_KERNEL
#undef GG_OPERATION
#undef GG_REDUCTION
  dtypes["float32"] = static_cast<int64_t>(DType::f32);
  dtypes["float64"] = static_cast<int64_t>(DType::f64);
  dtypes["int64"] = static_cast<int64_t>(DType::i64);
  dtypes["uint32"] = static_cast<int64_t>(DType::u32);
  dtypes["uint8"] = static_cast<int64_t>(DType::u8);
  dtypes["bool"] = static_cast<int64_t>(DType::b8);
  nb::dict all;
  all["kernels"] = kernels;
  all["operations"] = operations;
  all["reductions"] = reductions;
  all["dtypes"] = dtypes;
  return all;
}

// The instruction sets this machine can run, the best first.
nb::list isas() {
  nb::list found;
  for (const char* name : {"avx512", "avx2", "neon", "reference"}) {
    if (table_named(name)) found.append(name);
  }
  return found;
}

// The one that plans use unless told otherwise; None where it is only the reference.
std::optional<std::string> isa() {
  const Table* best = best_table();
  return best ? std::optional<std::string>(best->name) : std::nullopt;
}

}  // namespace

NB_MODULE(_native, m) {
  m.def("catalogue", &catalogue);
  m.def("isas", &isas);
  m.def("isa", &isa);
}
