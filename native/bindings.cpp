// The native executor's face towards Python: the only file that knows it. What everything means stands in
// src/glassgrad/backends/native/_native.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>

#include "executor/batches.h"
#include "executor/plan.h"
#include "executor/pool.h"
#include "executor/run.h"

namespace nb = nanobind;
using namespace glassgrad;

namespace {

constexpr const char* kernel_names[] = {
#define GG_KERNEL(name) #name,
#include "core/catalogue.def"
#undef GG_KERNEL
};

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

const Table& table_for(const std::optional<std::string>& name) {
  const Table* found = name ? table_named(name->c_str()) : best_table();
  if (!found) throw PlanError("an instruction set that this machine has not");
  return *found;
}

// Raises a class of glassgrad.errors.
[[noreturn]] void raise(const char* class_name, const std::string& what) {
  const nb::object type = nb::module_::import_("glassgrad.errors").attr(class_name);
  PyErr_SetObject(type.ptr(), type(what).ptr());
  throw nb::python_error();
}

// ------------------------------------------------------------------------------------------ arrays

// The memory of an array, kept alive and in place.
class Memory {
 public:
  Memory() = default;
  Memory(nb::handle array, bool written) {
    if (PyObject_GetBuffer(array.ptr(), &view_, written ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0) {
      PyErr_Clear();
      throw PlanError(written ? "a plan needs a contiguous array that it may write"
                              : "a plan needs a contiguous array");
    }
  }
  ~Memory() {
    if (view_.obj) PyBuffer_Release(&view_);
  }
  Memory(Memory&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  Memory& operator=(Memory&& other) noexcept {
    std::swap(view_, other.view_);
    return *this;
  }

  char* data() const { return static_cast<char*>(view_.buf); }
  int64_t bytes() const { return view_.len; }
  bool overlaps(const Memory& other) const {
    return bytes() > 0 && other.bytes() > 0 && data() < other.data() + other.bytes() &&
           other.data() < data() + bytes();
  }

 private:
  Py_buffer view_{};
};

// The array of a base: big enough, aligned, writable where it is written.
Memory memory_for(const Plan& plan, size_t base, nb::handle array, int64_t copies = 1) {
  const Base& b = plan.bases.at(base);
  Memory memory(array, b.kind == Base::write);
  int64_t bytes;
  if (__builtin_mul_overflow(b.bytes, copies, &bytes) || memory.bytes() < bytes) {
    throw PlanError("the array of base " + std::to_string(base) + " has " +
                    std::to_string(memory.bytes()) + " bytes, fewer than " + std::to_string(b.bytes) +
                    (copies == 1 ? "" : " for each step"));
  }
  if (reinterpret_cast<uintptr_t>(memory.data()) % static_cast<uintptr_t>(b.alignment) != 0) {
    throw PlanError("the array of base " + std::to_string(base) + " is not aligned");
  }
  return memory;
}

// What a plan writes belongs to one base alone.
void refuse_overlaps(const Plan& plan, const std::vector<Memory>& memories) {
  for (size_t i = 0; i < memories.size(); ++i) {
    if (plan.bases[i + 1].kind != Base::write) continue;
    for (size_t k = 0; k < memories.size(); ++k) {
      if (k != i && memories[i].overlaps(memories[k])) {
        throw PlanError("bases " + std::to_string(i + 1) + " and " + std::to_string(k + 1) +
                        " share memory, and one of them is written");
      }
    }
  }
}

// ------------------------------------------------------------------------------------------- plans

using Numbers = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Pairs = nb::ndarray<const int64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Fours = nb::ndarray<const int64_t, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;
using Reals = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

int64_t size(size_t count) { return static_cast<int64_t>(count); }

void make_plan(Plan* self, const Pairs& bases, const Fours& slots, const Numbers& code,
               const Reals& reals, const std::optional<std::string>& isa, bool careful) {
  const PlanText text{bases.data(), size(bases.shape(0)), slots.data(), size(slots.shape(0)),
                      code.data(),  size(code.shape(0)),  reals.data(), size(reals.shape(0))};
  new (self) Plan(text, table_for(isa), careful);
}

// A plan that was made: `Plan.__new__` alone makes none.
Plan& plan_of(nb::handle object) {
  if (!nb::isinstance<Plan>(object) || !nb::inst_ready(object)) throw nb::type_error("not a plan");
  return nb::cast<Plan&>(object);
}

// The arrays of all bases but the arena, ready to run.
class Bound {
 public:
  Bound(Plan& plan, nb::object owner, nb::handle arrays) : plan_(plan), owner_(std::move(owner)) {
    for (nb::handle array : arrays) {
      if (memories_.size() + 1 == plan.bases.size()) throw PlanError("more arrays than bases");
      memories_.push_back(memory_for(plan, memories_.size() + 1, array));
      addresses_.push_back(memories_.back().data());
    }
    if (memories_.size() + 1 != plan.bases.size()) throw PlanError("fewer arrays than bases");
    refuse_overlaps(plan, memories_);
  }

  Bound(const Bound&) = delete;

  void set(int64_t base, nb::handle array) { change({{base, array}}); }

  // Two bases set anew, as input and result of a prediction, and a run.
  int64_t call(int64_t base, nb::handle array, int64_t other, nb::handle result) {
    change({{base, array}, {other, result}});
    return run();
  }

  int64_t run() {
    ++runs_;
    Outcome outcome;
    {
      nb::gil_scoped_release release;
      outcome = run_once(plan_, addresses_.data());
    }
    --runs_;
    return static_cast<int64_t>(outcome.status);
  }

 private:
  struct Change {
    int64_t base;
    nb::handle array;
  };

  // All or none: what was the result may be the input now.
  template <size_t count> void change(const Change (&changes)[count]) {
    if (runs_ > 0) throw PlanError("another thread runs this");
    Memory others[count];
    for (size_t i = 0; i < count; ++i) {
      const int64_t base = changes[i].base;
      if (base < 1 || base > size(memories_.size())) throw PlanError("no such base");
      others[i] = memory_for(plan_, static_cast<size_t>(base), changes[i].array);
    }
    const auto memory = [&](size_t i) -> Memory& {
      return memories_[static_cast<size_t>(changes[i].base - 1)];
    };
    for (size_t i = 0; i < count; ++i) std::swap(memory(i), others[i]);
    try {
      refuse_overlaps(plan_, memories_);
    } catch (...) {
      for (size_t i = count; i-- > 0;) std::swap(memory(i), others[i]);
      throw;
    }
    for (const Change& c : changes) {
      const auto i = static_cast<size_t>(c.base - 1);
      addresses_[i] = memories_[i].data();
    }
  }

  Plan& plan_;
  nb::object owner_;
  std::vector<Memory> memories_;
  std::vector<char*> addresses_;
  int runs_ = 0;  // now, by threads that have released the lock
};

nb::list describe(const Plan& plan) {
  nb::list all;
  for (const Step& step : plan.steps) {
    const Work& work = step.ready.work;
    nb::dict about;
    about["kernel"] = kernel_names[static_cast<size_t>(step.kernel)];
    about["name"] = work.name;
    about["flop"] = work.flop;
    about["bytes"] = work.bytes;
    about["units"] = work.units;
    about["split"] = step.split;
    about["meet"] = step.meet;
    about["times"] = step.times;
    all.append(about);
  }
  return all;
}

void profile(Plan& plan, bool on) {
  nb::gil_scoped_release release;
  const Running here;
  const std::lock_guard lock(plan.running);
  plan.profiled = on;
  plan.runs = 0;
  for (Step& step : plan.steps) step.nanoseconds = 0;
}

nb::list times(Plan& plan) {
  nb::list all;
  for (const Step& step : plan.steps) all.append(step.nanoseconds);
  return all;
}

// The position that was outside its table when a run last ended so, and the size of that; else None.
nb::object fault(const Plan& plan) {
  const Fault found = plan.fault;
  return found.found ? nb::make_tuple(found.position, found.size) : nb::object(nb::none());
}

// ------------------------------------------------------------------------------------------- loops

class Loop {
 public:
  Loop(nb::object plan, nb::object rest, const std::vector<nb::object>& arrays,
       const std::vector<int64_t>& data, std::vector<int64_t> tables, int64_t rows, int64_t batch,
       const std::map<int64_t, std::pair<int64_t, double>>& casts)
      : plan_(plan_of(plan)), tables_(std::move(tables)), owners_{plan, rest}, rows_(rows) {
    Plan* smaller = rest.is_none() ? nullptr : &plan_of(rest);
    const size_t bases = plan_.bases.size();
    if (arrays.size() + 1 != bases) throw PlanError("an array, or None, for each base but the arena");
    if (smaller && smaller->bases.size() != bases) throw PlanError("plans of different bases");
    for (const int64_t base : data) known(base);
    std::vector<RowsOf> rows_of;
    std::vector<RowOfTable> row_of;
    std::vector<char*> addresses(bases - 1, nullptr);
    for (const int64_t base : tables_) {
      row_of.push_back({static_cast<int>(base), plan_.bases[known(base)].bytes});
    }
    for (size_t i = 1; i < bases; ++i) {
      const auto base = static_cast<int64_t>(i);
      if (std::find(data.begin(), data.end(), base) != data.end()) {
        memories_.emplace_back(arrays[i - 1], false);
        const Memory& memory = memories_.back();
        if (rows < 1 || memory.bytes() % rows != 0) throw PlanError("data of other rows");
        RowsOf r{static_cast<int>(base), memory.data(), memory.bytes() / rows};
        if (const auto cast = casts.find(base); cast != casts.end()) {
          const auto to = static_cast<DType>(cast->second.first);
          if (to != DType::f32 && to != DType::f64) throw PlanError("bytes become real numbers");
          r.kind = to == DType::f32 ? RowsOf::bytes_to_f32 : RowsOf::bytes_to_f64;
          r.scale = cast->second.second;
        }
        rows_of.push_back(std::move(r));
      } else if (std::find(tables_.begin(), tables_.end(), base) != tables_.end()) {
        memories_.emplace_back();
      } else {
        memories_.push_back(memory_for(plan_, i, arrays[i - 1]));
        if (smaller) memory_for(*smaller, i, arrays[i - 1]);
        addresses[i - 1] = memories_.back().data();
      }
    }
    refuse_overlaps(plan_, memories_);
    if (smaller) refuse_overlaps(*smaller, memories_);
    for (size_t i = 0; i < bases; ++i) {
      written_.push_back(plan_.bases[i].kind == Base::write ||
                         (smaller && smaller->bases[i].kind == Base::write));
    }
    batches_ = std::make_unique<Batches>(plan_, smaller, std::move(addresses), std::move(rows_of),
                                         std::move(row_of), rows, batch);
  }

  int64_t steps_per_epoch() const { return batches_->steps_per_epoch(); }

  std::pair<int64_t, int64_t> advance(const nb::object& order, int64_t first, int64_t count,
                                      const std::vector<nb::object>& tables, double budget) {
    if (tables.size() != tables_.size()) throw PlanError("other tables than the loop was made with");
    std::vector<Memory> memories;
    std::vector<char*> addresses;
    for (size_t i = 0; i < tables.size(); ++i) {
      memories.push_back(memory_for(plan_, static_cast<size_t>(tables_[i]), tables[i], count));
      addresses.push_back(memories.back().data());
    }
    // Beyond a day it is for ever; what is no number of seconds would be no number of clock ticks.
    if (!(budget >= 0)) throw PlanError("a budget is seconds, from 0");
    Advance a{first, count, nullptr, 0, addresses.data(), std::min(budget, 86400.0)};
    if (!order.is_none()) {
      memories.emplace_back(order, false);
      const int64_t numbers = memories.back().bytes() / 8;
      if (reinterpret_cast<uintptr_t>(memories.back().data()) % 8 != 0 || numbers % rows_ != 0) {
        throw PlanError("an order is int64, with a number for each row of each epoch");
      }
      a.order = reinterpret_cast<const int64_t*>(memories.back().data());
      a.epochs = numbers / rows_;
    }
    refuse_overlaps_of(memories);
    nb::gil_scoped_release release;
    const Outcome outcome = batches_->advance(a);
    return {outcome.steps, static_cast<int64_t>(outcome.status)};
  }

 private:
  // What is written in a call shares no memory with anything else: tables, the order, arrays.
  void refuse_overlaps_of(const std::vector<Memory>& given) const {
    const auto is_written = [&](size_t i) {
      return i < tables_.size() && written_[static_cast<size_t>(tables_[i])];
    };
    for (size_t i = 0; i < given.size(); ++i) {
      bool shared = false;
      for (size_t k = 0; k < i; ++k) {
        shared |= (is_written(i) || is_written(k)) && given[i].overlaps(given[k]);
      }
      for (size_t k = 0; k < memories_.size(); ++k) {
        shared |= (is_written(i) || written_[k + 1]) && given[i].overlaps(memories_[k]);
      }
      if (shared) throw PlanError("tables or an order share memory with what is written");
    }
  }

  size_t known(int64_t base) const {
    if (base < 1 || base >= size(plan_.bases.size())) throw PlanError("no such base");
    return static_cast<size_t>(base);
  }

  Plan& plan_;
  std::vector<int64_t> tables_;
  std::vector<nb::object> owners_;
  std::vector<Memory> memories_;
  std::vector<bool> written_;  // of each base, by either plan
  std::unique_ptr<Batches> batches_;
  int64_t rows_;
};

// -------------------------------------------------------------------------------------- functions

// Flop a second in fused multiply-adds, on so many threads: the best of some short runs.
double peak(const std::string& dtype, int count, const std::optional<std::string>& isa) {
  if (dtype != "float32" && dtype != "float64") throw PlanError("the peak is of float32 or float64");
  const bool narrow = dtype == "float32";
  const Table& table = table_for(isa);
  const nb::gil_scoped_release release;
  using Clock = std::chrono::steady_clock;
  double best = 0;
  auto job = [&](const Member& member) noexcept {
    float f;
    double d;
    for (int run = 0; run < 12; ++run) {
      member.meet();
      const auto start = Clock::now();
      const int64_t flop = narrow ? table.peak_f32(10000, &f) : table.peak_f64(10000, &d);
      member.meet();
      if (member.part > 0) continue;
      const std::chrono::duration<double> spent = Clock::now() - start;
      best = std::max(best, static_cast<double>(flop * member.parts) / spent.count());
    }
  };
  together(count, job);
  return best;
}

template <typename Number>
using Vector = nb::ndarray<Number, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename Number>
void unary(const std::string& isa, int64_t operation, const Vector<const Number>& x,
           const Vector<Number>& out) {
  const Table& table = table_for(isa);
  if (operation < 0 || operation >= static_cast<int64_t>(Operation::count) ||
      x.shape(0) != out.shape(0)) {
    throw PlanError("no such function, or an array of another size");
  }
  const auto f = static_cast<Operation>(operation);
  const auto count = size(x.shape(0));
  if constexpr (sizeof(Number) == 4) {
    if (!table.unary_f32) throw PlanError("no functions in this instruction set");
    table.unary_f32(f, x.data(), out.data(), count);
  } else {
    if (!table.unary_f64) throw PlanError("no functions in this instruction set");
    table.unary_f64(f, x.data(), out.data(), count);
  }
}

}  // namespace

NB_MODULE(_native, m) {
  nb::set_leak_warnings(false);  // plans in a cache end with the process
  nb::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const PlanError& found) {
      try {
        raise("InternalError", found.what());
      } catch (nb::python_error& raised) {
        raised.restore();
      }
    }
  });
  using namespace nb::literals;
  m.def("catalogue", &catalogue);
  m.def("isas", &isas);
  m.def("isa", &isa);
  m.def("set_threads", &set_threads, "count"_a);
  m.def("get_threads", &threads);
  m.def("usable_cpus", &usable_cpus);
  m.def("peak", &peak, "dtype"_a, "threads"_a, "isa"_a = nb::none());
  m.def("unary", &unary<float>, "isa"_a, "operation"_a, "x"_a.noconvert(), "out"_a.noconvert());
  m.def("unary", &unary<double>, "isa"_a, "operation"_a, "x"_a.noconvert(), "out"_a.noconvert());

  nb::class_<Bound>(m, "Bound").def("run", &Bound::run).def("set", &Bound::set, "base"_a, "array"_a)
      .def("call", &Bound::call);
  nb::class_<Plan>(m, "Plan")
      .def("__init__", &make_plan, "bases"_a, "slots"_a, "code"_a, "reals"_a, "isa"_a = nb::none(),
           "careful"_a = false)
      .def("run", [](nb::object self, nb::object arrays) {
        return Bound(plan_of(self), self, arrays).run();
      }, "arrays"_a)
      .def("bind", [](nb::object self, nb::object arrays) {
        return new Bound(plan_of(self), self, arrays);
      }, "arrays"_a)
      .def("describe", &describe)
      .def("profile", &profile, "on"_a)
      .def("times", &times)
      .def_prop_ro("fault", &fault)
      .def_prop_ro("isa", [](const Plan& plan) { return plan.table.name; })
      .def_ro("runs", &Plan::runs)
      .def_ro("seconds", &Plan::seconds)
      .def_prop_ro("arena", [](const Plan& plan) { return plan.bases[0].bytes; });
  nb::class_<Loop>(m, "Loop")
      .def(nb::init<nb::object, nb::object, const std::vector<nb::object>&, const std::vector<int64_t>&,
                    std::vector<int64_t>, int64_t, int64_t,
                    const std::map<int64_t, std::pair<int64_t, double>>&>(),
           "plan"_a, "rest"_a.none(), "arrays"_a, "data"_a, "tables"_a, "rows"_a, "batch"_a,
           "casts"_a = nb::dict())
      .def("advance", &Loop::advance, "order"_a.none(), "first"_a, "count"_a, "tables"_a,
           "budget"_a = 0.04)
      .def_prop_ro("steps_per_epoch", &Loop::steps_per_epoch);
}
