// Products of matrices: the same bits as plain loops over random shapes, strides, batches and parts,
// nothing touched beside the operands; `matmul bench` prints how fast they are.
#include "prepare/matmul.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/instruction.h"
#include "core/table.h"

using namespace glassgrad;

namespace {

std::mt19937_64 random_bits(1);
int64_t draw(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}
bool chance(double p) { return std::bernoulli_distribution(p)(random_bits); }

// So many bytes between two pages that must not be touched; they end at the second, or begin at the
// first.
class Guarded {
 public:
  Guarded(int64_t bytes, bool at_end, int64_t align) : bytes_(bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t room = (bytes + align + page - 1) / page * page;
    length_ = static_cast<size_t>(room + 2 * page);
    base_ = static_cast<char*>(mmap(nullptr, length_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + page, static_cast<size_t>(room), PROT_READ | PROT_WRITE))
      std::abort();
    data = base_ + page + (at_end ? (room - bytes) / align * align : 0);
  }
  Guarded(const Guarded&) = delete;
  ~Guarded() { munmap(base_, length_); }
  char* data;
  int64_t bytes() const { return bytes_; }

 private:
  char* base_;
  size_t length_;
  int64_t bytes_;
};

struct Array {
  Operand operand{};
  std::unique_ptr<Guarded> memory;
  char* origin;  // of element 0, ..., 0
};

// Memory for an operand with its axes in a random order, perhaps with gaps, backwards or stretched.
Array array_of(DType t, std::vector<int64_t> shape, int slot, bool may_stretch, double odd) {
  Array x;
  Operand& o = x.operand;
  o.slot = slot;
  o.dtype = t;
  o.rank = static_cast<int>(shape.size());
  std::vector<int> order(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) order[i] = static_cast<int>(i);
  if (chance(odd)) std::shuffle(order.begin(), order.end(), random_bits);
  int64_t step = chance(odd / 3) ? draw(1, 3) : 1;
  for (size_t i = shape.size(); i-- > 0;) {
    const int axis = order[i];
    o.shape[axis] = shape[static_cast<size_t>(axis)];
    o.stride[axis] = step;
    if (may_stretch && chance(odd / 3)) {
      o.stride[axis] = 0;
      continue;
    }
    step *= std::max<int64_t>(1, o.shape[axis]);
    if (chance(odd / 3)) step += draw(0, 5);
    if (chance(odd / 6)) o.stride[axis] = -o.stride[axis];
  }
  int64_t first, last;
  o.extent(&first, &last);
  x.memory = std::make_unique<Guarded>(last - first, chance(0.5), size_of(t));
  x.origin = x.memory->data - first;
  return x;
}

template <class T>
void fill(Array& x) {
  T* p = reinterpret_cast<T*>(x.memory->data);
  std::normal_distribution<T> normal;
  for (int64_t i = 0; i < x.memory->bytes() / static_cast<int64_t>(sizeof(T)); ++i) p[i] = normal(random_bits);
}

template <class T>
T& at(const Array& x, const std::vector<int64_t>& index) {
  int64_t offset = 0;
  for (size_t i = 0; i < index.size(); ++i) offset += index[i] * x.operand.stride[i];
  return reinterpret_cast<T*>(x.origin)[offset];
}

// What follows on the product: times another operand, stored beside the product or alone, in a place of
// its own or in that operand's; or times whether that operand is above 0.
enum class Rest { nothing, other, twice, both, gate, gate_twice };

// The rule, said again without tiles, tasks or strides of anything but the operands.
template <class T>
void expected(const Array& a, const Array& b, const Array* bias, bool relu, Rest rest, Array& c, Array& d) {
  const Operand& o = c.operand;
  const size_t rank = static_cast<size_t>(o.rank) - 2;
  const int64_t m = o.shape[rank], n = o.shape[rank + 1], k = a.operand.shape[rank + 1];
  int64_t batches = 1;
  for (size_t i = 0; i < rank; ++i) batches *= o.shape[i];
  for (int64_t z = 0; z < batches; ++z) {
    std::vector<int64_t> index(rank + 2);
    int64_t left = z;
    for (size_t i = rank; i-- > 0;) {
      index[i] = left % o.shape[i];
      left /= o.shape[i];
    }
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        std::vector<int64_t> ai = index, bi = index, ci = index;
        ai[rank] = ci[rank] = i;
        bi[rank + 1] = ci[rank + 1] = j;
        T lane[16] = {};
        const int64_t count = m * n <= 16 && k >= 256 ? 16 : 1;
        for (int64_t p = 0; p < k; ++p) {
          ai[rank + 1] = bi[rank] = p;
          lane[p % count] = std::fma(at<T>(a, ai), at<T>(b, bi), lane[p % count]);
        }
        for (int64_t apart = count / 2; apart > 0; apart /= 2)
          for (int64_t l = 0; l < apart; ++l) lane[l] += lane[l + apart];
        T x = lane[0];
        if (bias) x += at<T>(*bias, ci);
        if (relu) x = x > 0 || std::isnan(x) ? x : 0;
        if (rest == Rest::nothing || rest == Rest::both) at<T>(c, ci) = x;
        if (rest == Rest::both) at<T>(d, ci) = x * at<T>(d, ci);
        if (rest == Rest::other) at<T>(c, ci) = x * at<T>(d, ci);
        if (rest == Rest::twice) at<T>(c, ci) = x * at<T>(c, ci);
        if (rest == Rest::gate) at<T>(c, ci) = x * (at<T>(d, ci) > 0 ? T(1) : T(0));
        if (rest == Rest::gate_twice) at<T>(c, ci) = x * (at<T>(c, ci) > 0 ? T(1) : T(0));
      }
  }
}

std::vector<int64_t> program_of(int64_t rank, DType t, bool bias, bool relu, Rest rest = Rest::nothing) {
  const int64_t dtype = static_cast<int64_t>(t);
  std::vector<int64_t> ints = {rank};
  if (!bias && !relu && rest == Rest::nothing) return ints;
  const bool times = rest != Rest::nothing;
  const int64_t inputs = 1 + bias + times;
  const bool gate = rest == Rest::gate || rest == Rest::gate_twice, zero = relu || gate;
  const int64_t steps = bias + relu + times + gate;
  ints.insert(ints.end(), {inputs, zero ? 1 : 0, steps, rest == Rest::both ? 2 : 1});
  if (zero) ints.insert(ints.end(), {dtype, 0});
  int64_t value = 0, next = inputs + (zero ? 1 : 0);
  if (bias) {
    ints.insert(ints.end(), {static_cast<int64_t>(Operation::add), dtype, 0, 1, -1});
    value = next++;
  }
  if (relu) {
    ints.insert(ints.end(), {static_cast<int64_t>(Operation::maximum), dtype, value, inputs, -1});
    value = next++;
  }
  int64_t factor = inputs - 1;
  if (gate) {
    ints.insert(ints.end(), {static_cast<int64_t>(Operation::greater), dtype, factor, inputs, -1});
    factor = next++;
  }
  if (times)
    ints.insert(ints.end(), {static_cast<int64_t>(Operation::multiply), dtype, value, factor, -1});
  if (rest == Rest::nothing || rest == Rest::both) ints.push_back(value);
  if (times) ints.push_back(next);
  return ints;
}

void run(const Table& table, const MatmulTask& task, const Work& work, char* const* slots, int parts) {
  for (int part = 0; part < parts; ++part) {
    Guarded scratch(work.scratch, true, 64);
    table.matmul(task, Frame{slots, part, parts, scratch.data, nullptr});
  }
}

template <class T>
bool same_bits(const std::vector<const Table*>& tables, DType t) {
  const int64_t rank = chance(0.3) ? draw(1, 3) : 0;
  std::vector<int64_t> batch;
  for (int64_t i = 0; i < rank; ++i) batch.push_back(draw(1, 4));
  const auto size = [&](int64_t most) {
    const double kind = std::uniform_real_distribution<>()(random_bits);
    if (kind < 0.03) return int64_t{0};
    if (kind < 0.2) return draw(1, 3);
    if (kind < 0.7) return draw(1, std::min<int64_t>(40, most));
    return draw(1, most);
  };
  int64_t m = size(rank ? 40 : 300), n = size(rank ? 40 : 300), k = size(rank ? 60 : 600);
  if (chance(0.1)) m = draw(1, 4), n = draw(1, 8), k = draw(200, 700);
  const double odd = chance(0.4) ? 0 : 0.5;
  const auto with = [&](int64_t x, int64_t y) {
    std::vector<int64_t> shape = batch;
    shape.push_back(x);
    shape.push_back(y);
    return shape;
  };
  const bool has_bias = chance(0.4), relu = chance(0.4);
  Array a = array_of(t, with(m, k), 0, true, odd);
  Array b = array_of(t, with(k, n), 1, true, odd);
  Array bias = array_of(t, with(m, n), 2, false, 0);
  if (has_bias) {
    for (int i = 0; i <= rank; ++i) bias.operand.stride[i] = 0;
    bias.operand.stride[rank + 1] = 1;
    bias.memory = std::make_unique<Guarded>(n * static_cast<int64_t>(sizeof(T)), chance(0.5), sizeof(T));
    bias.origin = bias.memory->data;
  }
  Array c = array_of(t, with(m, n), 3, false, chance(0.2) ? 0.5 : 0);
  fill<T>(a);
  fill<T>(b);
  fill<T>(bias);
  fill<T>(c);
  Array d = array_of(t, with(m, n), 4, false, chance(0.2) ? 0.5 : 0);
  fill<T>(d);
  const Rest rest = chance(0.5) ? Rest::nothing : static_cast<Rest>(draw(1, 5));
  const auto contents = [&] {
    std::vector<char> all(c.memory->data, c.memory->data + c.memory->bytes());
    all.insert(all.end(), d.memory->data, d.memory->data + d.memory->bytes());
    return all;
  };
  const std::vector<char> before = contents();
  expected<T>(a, b, has_bias ? &bias : nullptr, relu, rest, c, d);
  const std::vector<char> wanted = contents();

  Instruction in{Kernel::matmul, true, {a.operand, b.operand}, program_of(rank, t, has_bias, relu, rest), {}};
  if (has_bias) in.operands.push_back(bias.operand);
  if (rest != Rest::nothing) in.operands.push_back(rest == Rest::twice || rest == Rest::gate_twice ? c.operand : d.operand);
  in.operands.push_back(c.operand);
  if (rest == Rest::both) in.operands.push_back(d.operand);
  Work work;
  const MatmulTask task = prepare_matmul(in, &work);
  char* const slots[] = {a.origin, b.origin, bias.origin, c.origin, d.origin};
  for (const Table* table : tables)
    for (int parts : {1, 2, 3, 7}) {
      if (parts > 1 && chance(0.5)) continue;
      const auto middle = before.begin() + c.memory->bytes();
      std::copy(before.begin(), middle, c.memory->data);
      std::copy(middle, before.end(), d.memory->data);
      run(*table, task, work, slots, parts);
      if (contents() == wanted) continue;
      std::printf("other bits: %s, %s, %d parts, rank %d, %ldx%ldx%ld, %s\n", table->name,
                  sizeof(T) == 4 ? "float32" : "float64", parts, static_cast<int>(rank),
                  static_cast<long>(m), static_cast<long>(k), static_cast<long>(n), work.name.c_str());
      for (int i = 0; i < 2; ++i) {
        const Operand& o = in.operands[static_cast<size_t>(i)];
        for (int j = 0; j < o.rank; ++j) std::printf(" %ld", static_cast<long>(o.stride[j]));
        std::printf(";");
      }
      std::printf("\n");
      return false;
    }
  return true;
}

// w - rate * (a b) in place of w, where a is a column and b a row: as loops say it, for any parts.
template <class T>
bool same_update(const std::vector<const Table*>& tables, DType t) {
  const int64_t m = draw(1, 90), n = draw(1, 90), dtype = static_cast<int64_t>(t);
  const double odd = chance(0.7) ? 0 : 0.5;
  Array a = array_of(t, {m, 1}, 0, false, odd), b = array_of(t, {1, n}, 1, false, odd);
  Array rate = array_of(t, {1, 1}, 2, false, 0), w = array_of(t, {m, n}, 3, false, odd);
  for (Array* x : {&a, &b, &rate, &w}) fill<T>(*x);
  at<T>(b, {0, draw(0, n - 1)}) = T(-0.0);
  const auto contents = [&] { return std::vector<char>(w.memory->data, w.memory->data + w.memory->bytes()); };
  const std::vector<char> before = contents();
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      at<T>(w, {i, j}) -= at<T>(rate, {0, 0}) * std::fma(at<T>(a, {i, 0}), at<T>(b, {0, j}), T(0));
  const std::vector<char> wanted = contents();

  Operand everywhere = rate.operand;
  everywhere.shape[0] = m, everywhere.shape[1] = n;
  everywhere.stride[0] = everywhere.stride[1] = 0;
  const bool first = chance(0.5);  // rate * product, or product * rate
  Instruction in{Kernel::matmul, true, {a.operand, b.operand, everywhere, w.operand, w.operand}, {}, {}};
  in.ints = {0, 3, 0, 2, 1, static_cast<int64_t>(Operation::multiply), dtype, first, !first, -1,
             static_cast<int64_t>(Operation::subtract), dtype, 2, 3, -1, 4};
  Work work;
  const MatmulTask task = prepare_matmul(in, &work);
  bool same = m < 16 || n < 16 || odd > 0 || work.name == "matmul, plain + update";
  char* const slots[] = {a.origin, b.origin, rate.origin, w.origin};
  for (const Table* table : tables)
    for (int parts : {1, 2, 5}) {
      std::copy(before.begin(), before.end(), w.memory->data);
      run(*table, task, work, slots, parts);
      same = same && contents() == wanted;
    }
  if (!same)
    std::printf("update of %ld x %ld: other bits, or %s\n", static_cast<long>(m), static_cast<long>(n), work.name.c_str());
  return same;
}

// ---- speed

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of this thread alone: a machine that does other things at the same time disturbs it less.
double processor_time() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Shape {
  int64_t m, k, n;
  const char* view;  // "T": a is a transposed view, "B": b is
};

double seconds(const Table& table, const Shape& s, bool fused, int threads, std::string* name) {
  const DType t = DType::f32;
  std::vector<Array> x;
  x.push_back(array_of(t, {s.m, s.k}, 0, false, 0));
  x.push_back(array_of(t, {s.k, s.n}, 1, false, 0));
  x.push_back(array_of(t, {s.m, s.n}, 2, false, 0));
  x.push_back(array_of(t, {1, s.n}, 3, false, 0));
  const auto view = [](Array& a) {
    a.operand.stride[0] = 1;
    a.operand.stride[1] = a.operand.shape[0];
  };
  if (std::strchr(s.view, 'T')) view(x[0]);
  if (std::strchr(s.view, 'B')) view(x[1]);
  for (Array& a : x) fill<float>(a);
  Instruction in{Kernel::matmul, true, {x[0].operand, x[1].operand}, program_of(0, t, fused, fused), {}};
  if (fused) {
    in.operands.push_back(x[3].operand);
    in.operands.back().shape[0] = s.m;
    in.operands.back().stride[0] = 0;
  }
  in.operands.push_back(x[2].operand);
  Work work;
  const MatmulTask task = prepare_matmul(in, &work);
  *name = work.name;
  std::vector<void*> memory;
  char* slots[4];
  for (size_t i = 0; i < 4; ++i) {  // on a cache line each, as in the arena
    memory.push_back(std::aligned_alloc(4096, static_cast<size_t>(x[i].memory->bytes() + 8191) / 4096 * 4096));
    std::memcpy(memory.back(), x[i].memory->data, static_cast<size_t>(x[i].memory->bytes()));
    slots[i] = static_cast<char*>(memory.back());
  }
  const auto measure = [&](int part, int parts) {
    char* scratch = static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(work.scratch + 127) / 64 * 64));
    const Frame frame{slots, part, parts, scratch, nullptr};
    const int repeat = static_cast<int>(std::max(1.0, 2e5 / (work.flop / 50 + 20)));
    double best = 1e9;
    for (double stop = now() + (work.flop > 1e9 ? 1.5 : 0.15); now() < stop;) {
      const double begin = processor_time();
      for (int i = 0; i < repeat; ++i) table.matmul(task, frame);
      best = std::min(best, (processor_time() - begin) / repeat);
    }
    std::free(scratch);
    return best;
  };
  std::vector<double> found(static_cast<size_t>(threads));
  std::vector<std::thread> team;
  for (int i = 1; i < threads; ++i) team.emplace_back([&, i] { found[static_cast<size_t>(i)] = measure(i, threads); });
  found[0] = measure(0, threads);
  for (auto& thread : team) thread.join();
  for (void* p : memory) std::free(p);
  double slowest = 0;
  for (double f : found) slowest = std::max(slowest, f);
  return slowest;
}

int bench(const Table& table, const char* only) {
  const Shape shapes[] = {
      {2048, 2048, 2048, ""}, {128, 784, 128, ""}, {784, 128, 128, "T"}, {2048, 128, 512, ""}, {64, 64, 64, ""},
      {8192, 144, 16, ""},    {300, 2, 64, ""},    {300, 64, 3, ""},     {300, 3, 64, "B"},    {64, 300, 3, "T"},
      {2, 300, 64, "T"},      {800, 2, 8, ""},     {800, 8, 1, ""},      {8, 800, 1, "T"},     {32, 16, 16, ""},
      {32, 64, 256, ""},      {32, 256, 64, "B"},  {1024, 8, 8, ""},     {1, 784, 128, ""},    {1, 576, 100, ""},
      {784, 1, 128, ""},      {2, 2, 2, ""},       {16, 32, 16, "T"},    {64, 32, 256, "T"},   {128, 128, 784, "B"},
      {1, 128, 10, ""},       {1, 100, 576, "B"},  {128, 128, 10, ""},   {128, 10, 128, "B"},  {128, 128, 10, "T"}};
  for (const Shape& s : shapes) {
    char text[64];
    std::snprintf(text, sizeof text, "%ldx%ldx%ld%s", static_cast<long>(s.m), static_cast<long>(s.k),
                  static_cast<long>(s.n), s.view);
    if (only && std::strcmp(only, text)) continue;
    std::string name;
    const double flop = 2.0 * static_cast<double>(s.m * s.k * s.n);
    const double plain = seconds(table, s, false, 1, &name);
    std::string fused_name;
    const double fused = seconds(table, s, true, 1, &fused_name);
    const double two = flop > 1e6 ? seconds(table, s, false, 2, &fused_name) : 0;
    std::printf("%-16s %9.3f us %6.1f GFLOP/s   fused %9.3f us   2 parts %9.3f us   %s\n", text, 1e6 * plain,
                flop / plain / 1e9, 1e6 * fused, 1e6 * two, name.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && !std::strcmp(argv[1], "bench")) return bench(*best_table(), argc > 2 ? argv[2] : nullptr);
  std::vector<const Table*> tables;
  for (const char* name : {"reference", "avx2", "avx512", "neon"})
    if (const Table* table = table_named(name); table && table->matmul) tables.push_back(table);
  const int cases = argc > 1 ? std::atoi(argv[1]) : 1000;
  int wrong = 0;
  for (int i = 0; i < cases && wrong < 10; ++i) {
    wrong += !same_bits<float>(tables, DType::f32);
    wrong += !same_bits<double>(tables, DType::f64);
    wrong += !same_update<float>(tables, DType::f32) + !same_update<double>(tables, DType::f64);
  }
  std::printf("%d products and updates, %zu instruction sets: %d with other bits\n", 4 * cases, tables.size(), wrong);
  return wrong != 0;
}
