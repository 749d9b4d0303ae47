// Convolutions as products whose factors are gathered where they lie: no patches are written.
#pragma once

#include <cstring>

#include "core/types.h"
#include "kernels/conv_copy.h"
#include "kernels/conv_tile.h"
#include "prepare/conv.h"

namespace glassgrad::GG_ISA {
namespace {

// What every way of a convolution needs of one group: where its images lie, and the scratch.
template <class T>
struct Conv {
  const ConvTask& t;
  const Frame& frame;
  int32_t* along = reinterpret_cast<int32_t*>(frame.scratch);
  T* bias = reinterpret_cast<T*>(frame.scratch + t.bias_at);
  T* weights = reinterpret_cast<T*>(frame.scratch + t.weights_at);
  T* copy = reinterpret_cast<T*>(frame.scratch + t.source_at);
  T* other = reinterpret_cast<T*>(frame.scratch + t.other_at);
  T* sums = reinterpret_cast<T*>(frame.scratch + t.sums_at);
  int64_t window_size = t.in * t.taps();

  T* images(const Images& i, int64_t n, int64_t channel) const {
    return reinterpret_cast<T*>(frame.slot[i.slot]) + n * i.n + channel * i.channel;
  }

  // The source as it is read: sample or block `n`, a group's channels.
  Grid<T> source(int64_t n, int64_t group) const {
    const T* from = images(t.source, n, group * t.in);
    if (!t.copied) return {from, t.source.channel, {t.source.space[0], t.source.space[1], t.source.space[2]}};
    return copied_source(t, from, n, copy);
  }

  // Where the source has what step k of a sum multiplies, for every k, from where a window begins. Channels
  // go by in or around the window.
  void note_steps(const Reach* r, const Grid<T>& from, int32_t* to) const {
    const bool inner = t.along == Along::channel;
    for (int64_t outer = 0; outer < (inner ? 1 : t.in); ++outer)
      for (int64_t z = 0; z < r[0].taps; ++z)
        for (int64_t y = 0; y < r[1].taps; ++y)
          for (int64_t x = 0; x < r[2].taps; ++x) {
            const int64_t at = (r[0].offset + z * r[0].offset_step) * from.space[0] +
                               (r[1].offset + y * r[1].offset_step) * from.space[1] +
                               (r[2].offset + x * r[2].offset_step) * from.space[2];
            for (int64_t q = inner ? 0 : outer; q < (inner ? t.in : outer + 1); ++q)
              *to++ = static_cast<int32_t>(at + q * from.channel);
          }
  }

  // The weights of a reach: for every output one after the other, or in strips of as many outputs.
  void pack_weights(const Reach* r, int64_t group, T* to, int64_t k, int64_t strip) const {
    const T* w = reinterpret_cast<const T*>(frame.slot[t.weight_slot]);
    w += group * (t.back ? t.in * t.weight_in : t.out * t.weight_out);
    const bool inner = t.along == Along::channel;
    for (int64_t o = 0; o < t.out; ++o) {
      T* at = inner ? to + o / strip * strip * k + o % strip : to + o * k;
      const int64_t step = inner ? strip : 1;
      const T* of = w + o * t.weight_out;
      for (int64_t outer = 0; outer < (inner ? 1 : t.in); ++outer)
        for (int64_t z = 0; z < r[0].taps; ++z)
          for (int64_t y = 0; y < r[1].taps; ++y)
            for (int64_t x = 0; x < r[2].taps; ++x) {
              const T* tap = of + (r[0].tap + z * r[0].tap_step) * t.weight_space[0] +
                             (r[1].tap + y * r[1].tap_step) * t.weight_space[1] +
                             (r[2].tap + x * r[2].tap_step) * t.weight_space[2];
              for (int64_t q = inner ? 0 : outer; q < (inner ? t.in : outer + 1); ++q, at += step)
                *at = tap[q * t.weight_in];
            }
    }
  }

  void copy_bias(int64_t group) const {
    if (t.bias_slot < 0) return;
    const T* from = reinterpret_cast<const T*>(frame.slot[t.bias_slot]) + group * t.out * t.bias_step;
    for (int64_t o = 0; o < t.out; ++o) bias[o] = from[o * t.bias_step];
  }

  // Each reach of the result with its number and the steps of all before it.
  template <class Do>
  void each_reach(Do&& each) const {
    int64_t before = 0;
    for (int64_t z = 0; z < reaches(t, 0); ++z)
      for (int64_t y = 0; y < reaches(t, 1); ++y)
        for (int64_t x = 0; x < reaches(t, 2); ++x) {
          const Reach r[max_space] = {reach(t, 0, z), reach(t, 1, y), reach(t, 2, x)};
          const int64_t k = r[0].taps * r[1].taps * r[2].taps * t.in;
          each(r, k, before);
          before += k;
        }
  }
};

// Rows of the result that a sweep goes over: as long as possible.
struct Rows {
  int64_t count[max_space];  // of the three axes; the last is the row
};

inline Rows merged(const ConvTask& t, const Reach* r, const int64_t* from) {
  Rows rows{{r[0].count, r[1].count, r[2].count}};
  for (int axis = 1; axis >= 0; --axis) {
    const auto follows = [&](const int64_t* stride) {
      return stride[axis] * r[axis].step == rows.count[2] * stride[2] * r[2].step;
    };
    const bool all = from[axis] * r[axis].source_step == rows.count[2] * from[2] * r[2].source_step &&
                     follows(t.result.space) && (t.gate.slot < 0 || follows(t.gate.space));
    if (rows.count[axis] > 1 && !all) break;
    rows.count[2] *= rows.count[axis];
    rows.count[axis] = 1;
  }
  return rows;
}

// conv and conv_dx. What is common to the three ways: bias, relu and gate, and where a row lies.
template <class T>
struct Forward : Conv<T> {
  using Conv<T>::t;
  static constexpr int64_t strip = broad * Vec<T>::width;

  ConvTiles<T> begin(int64_t n, int64_t group) const {
    ConvTiles<T> s{};
    s.first = true;
    s.relu = t.relu;
    s.c = this->images(t.result, n, group * t.out);
    if (t.bias_slot >= 0) s.bias = this->bias;
    if (t.gate.slot >= 0) s.gate = this->images(t.gate, n, group * t.out);
    return s;
  }

  static int64_t at(const Reach* r, const int64_t* stride, int64_t z, int64_t y) {
    return (r[0].first + r[0].step * z) * stride[0] + (r[1].first + r[1].step * y) * stride[1] +
           r[2].first * stride[2];
  }

  template <Gather gather>
  static void sweep(const ConvTiles<T>& s, int rows, int64_t tiles) {
    const int v = static_cast<int>((s.columns + Vec<T>::width - 1) / Vec<T>::width);
    window_sweeps<T, gather>.of[v][s.columns % Vec<T>::width != 0][rows](s, tiles);
  }

  // Vectors go along the channels of the result; rows of a tile are neighbouring places.
  void by_channels(const Reach* r, int64_t k, int64_t before, const Grid<T>& from, ConvTiles<T> s) const {
    const Rows rows = merged(t, r, from.space);
    s.k = k;
    s.along = this->along + before;
    s.a_row = r[2].source_step * from.space[2];
    s.b_row = strip;
    s.c_row = r[2].step * t.result.space[2];
    s.c_column = t.out > 1 ? t.result.channel : 1;
    s.gate_row = r[2].step * t.gate.space[2];
    s.gate_column = t.out > 1 ? t.gate.channel : 1;
    s.bias_column = 1;
    T* const c = s.c;
    const T* const gate = s.gate;
    const T* w = this->weights + before * ((t.out + strip - 1) / strip * strip);
    for (int64_t o = 0; o < t.out; o += strip, w += strip * k) {
      s.columns = t.out - o < strip ? t.out - o : strip;
      if (s.bias) s.bias = this->bias + o;
      s.b = w;
      for (int64_t z = 0; z < rows.count[0]; ++z)
        for (int64_t y = 0; y < rows.count[1]; ++y) {
          const T* a = from.at + z * r[0].source_step * from.space[0] + y * r[1].source_step * from.space[1];
          T* row = c + at(r, t.result.space, z, y) + o * s.c_column;
          const T* open = gate ? gate + at(r, t.gate.space, z, y) + o * s.gate_column : nullptr;
          tiles_of(rows.count[2], rows_of(broad), [&](int64_t x, int high, int64_t tiles) {
            s.a = a + x * s.a_row + (t.each ? o : 0);
            s.c = row + x * s.c_row;
            s.gate = open ? open + x * s.gate_row : nullptr;
            s.a_tile = high * s.a_row;
            s.c_tile = high * s.c_row;
            s.gate_tile = high * s.gate_row;
            if (t.each) sweep<Gather::vectors>(s, high, tiles);
            else sweep<Gather::a>(s, high, tiles);
          });
        }
    }
  }

  // Vectors go along samples, or along a row; rows of a tile are channels of the result.
  void by_places(const Reach* r, int64_t k, int64_t before, const Grid<T>& from, ConvTiles<T> s,
                 int64_t columns) const {
    const bool row = t.along == Along::row;
    s.k = k;
    s.along = this->along + before;
    s.a_row = k;
    s.c_row = t.result.channel;
    s.c_column = row ? t.result.space[2] : t.result.n;
    s.gate_row = t.gate.channel;
    s.gate_column = row ? t.gate.space[2] : t.gate.n;
    s.bias_row = 1;
    const int64_t places = row ? 1 : r[2].count;  // of a row: one by one
    const int64_t all = row ? r[2].count : columns;
    const int64_t widest_here = t.out <= 3 ? widest_window * Vec<T>::width : strip;
    const ConvTiles<T> start = s;
    const T* w = this->weights + before * t.out;
    for (int64_t z = 0; z < r[0].count; ++z)
      for (int64_t y = 0; y < r[1].count; ++y) {
        const T* b = from.at + z * r[0].source_step * from.space[0] + y * r[1].source_step * from.space[1];
        T* c = start.c + at(r, t.result.space, z, y);
        const T* gate = start.gate ? start.gate + at(r, t.gate.space, z, y) : nullptr;
        for (int64_t j = 0; j < all; j += widest_here) {
          s.columns = all - j < widest_here ? all - j : widest_here;
          const int v = static_cast<int>((s.columns + Vec<T>::width - 1) / Vec<T>::width);
          tiles_of(t.out, rows_of(v), [&](int64_t o, int high, int64_t tiles) {
            for (int64_t tile = 0; tile < tiles; ++tile, o += high) {
              s.a = w + o * k;
              s.b = b + j;
              s.c = c + j * s.c_column + o * s.c_row;
              s.gate = gate ? gate + j * s.gate_column + o * s.gate_row : nullptr;
              s.bias = start.bias ? start.bias + o * s.bias_row : nullptr;
              s.b_tile = r[2].source_step * from.space[2];
              s.c_tile = r[2].step * t.result.space[2];
              s.gate_tile = r[2].step * t.gate.space[2];
              sweep<Gather::b>(s, high, places);
            }
          });
        }
      }
  }

  // One channel of the result, whose rows are a vector long at least, and enough: many rows at once.
  bool is_one_channel(const Reach* r) const {
    return t.along == Along::row && t.out == 1 && r[1].count >= rows_together(1) && r[2].count >= Vec<T>::width &&
           (t.gate.slot < 0 || t.gate.space[2] == 1);
  }

  void one_channel(const Reach* r, int64_t k, int64_t before, const Grid<T>& from, const ConvTiles<T>& s) const {
    constexpr int64_t width = Vec<T>::width;
    RowTiles<T> tiles{r[1].count, 0, k, this->along + before, this->weights + before, nullptr,
                      r[1].source_step * from.space[1], nullptr, r[1].step * t.result.space[1], s.relu, s.bias, nullptr,
                      r[1].step * t.gate.space[1]};
    const int64_t all = r[2].count;
    for (int64_t z = 0; z < r[0].count; ++z)
      for (int64_t done = 0; done < all; done += widest_window * width) {
        const int64_t j = all - done < width ? all - width : done;
        tiles.columns = all - j < widest_window * width ? all - j : widest_window * width;
        tiles.x = from.at + z * r[0].source_step * from.space[0] + j;
        tiles.c = s.c + at(r, t.result.space, z, 0) + j;
        if (s.gate) tiles.gate = s.gate + at(r, t.gate.space, z, 0) + j;
        row_sweeps<T>.of[(tiles.columns + width - 1) / width](tiles);
      }
  }

  void run() const {
    const int64_t block = t.along == Along::batch ? samples : 1;
    const int64_t units = (t.n + block - 1) / block;
    const Range mine = share(t.groups * units, this->frame.part, this->frame.parts);
    clear_border(t, this->copy);
    int64_t packed = -1;
    for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
      const int64_t group = unit / units, n = unit % units * block;
      const Grid<T> from = this->source(n, group);
      if (packed != group) {
        this->each_reach([&](const Reach* r, int64_t k, int64_t before) {
          const int64_t wide = t.along == Along::channel ? (t.out + strip - 1) / strip * strip : t.out;
          this->note_steps(r, from, this->along + before);
          this->pack_weights(r, group, this->weights + before * wide, k, strip);
        });
        this->copy_bias(group);
        packed = group;
      }
      const ConvTiles<T> s = begin(n, group);
      this->each_reach([&](const Reach* r, int64_t k, int64_t before) {
        if (is_one_channel(r)) one_channel(r, k, before, from, s);
        else if (t.along == Along::channel) by_channels(r, k, before, from, s);
        else by_places(r, k, before, from, s, t.n - n < block ? t.n - n : block);
      });
    }
  }
};

// conv_dw: sums over all places of all images of a chunk.
template <class T>
struct Weights : Conv<T> {
  using Conv<T>::t;
  static constexpr int64_t strip = broad * Vec<T>::width;

  T* partial(int64_t chunk, int64_t group) const {
    return reinterpret_cast<T*>(this->frame.slot[t.partial_slot]) + chunk * t.partial_chunk +
           group * t.out * t.partial_out;
  }

  void fill(T* to, T number) const {
    for (int64_t o = 0; o < t.out; ++o)
      for (int64_t q = 0; q < t.in; ++q)
        for (int64_t z = 0; z < t.window[0]; ++z)
          for (int64_t y = 0; y < t.window[1]; ++y)
            for (int64_t x = 0; x < t.window[2]; ++x)
              to[o * t.partial_out + q * t.partial_in + z * t.partial_space[0] + y * t.partial_space[1] +
                 x * t.partial_space[2]] = number;
  }

  // As many rows of places as stay in the first cache, with what they read of the source.
  int64_t band_of(int64_t row_bytes) const {
    const int64_t most = 12 * 1024 / (row_bytes > 0 ? row_bytes : 1);
    return most > 1 ? most : 1;
  }

  // Outer products of the source's channels and the derivative's, place after place.
  void by_channels(int64_t chunk, int64_t group) const {
    const Range images = share(t.n, static_cast<int>(chunk), static_cast<int>(t.chunks));
    T* const to = partial(chunk, group);
    const int64_t places = t.places(), row = t.result_size[2];
    if (images.begin == images.end || places == 0) return fill(to, T(0));
    const Images& g = t.result;
    const bool tight = g.channel == 1 && g.space[1] == row * g.space[2] && g.space[0] == t.result_size[1] * g.space[1];
    const int64_t band = row * band_of(row * (t.channels + t.out) * static_cast<int64_t>(sizeof(T)));
    for (int64_t n = images.begin; n < images.end; ++n) {
      const Grid<T> from = this->source(n, group);
      const T* d = this->images(g, n, group * t.out);
      int64_t d_row = g.space[2];
      if (!tight) {
        copy_places(t, d, this->other);
        d = this->other;
        d_row = t.out;
      }
      if (n == images.begin) note_places(from);
      ConvTiles<T> s{};
      // Rows of a tile are channels of the source, and taps that follow each other if they can; or taps alone.
      const bool joined = t.each || (t.dilation[2] * from.space[2] == t.in &&
                                     t.partial_space[2] == t.in * t.partial_in);
      const int64_t rows = joined ? t.in * t.window[2] : t.in;
      s.a_row = t.each ? t.dilation[2] * from.space[2] : joined ? 1 : from.channel;
      s.b_row = d_row;
      s.c_row = t.each ? t.partial_space[2] : t.partial_in;
      s.c_column = t.partial_out;
      const int64_t wide = rows <= 3 ? widest_window * Vec<T>::width : strip;
      const int64_t most = rows_of(rows <= 3 ? widest_window : broad);
      for (int64_t place = 0; place < places; place += band) {
        s.k = places - place < band ? places - place : band;
        s.along = this->along + place;
        s.first = n == images.begin && place == 0;
        for (int64_t z = 0; z < t.window[0]; ++z)
          for (int64_t y = 0; y < t.window[1]; ++y)
            for (int64_t x = 0; x < (joined ? 1 : t.window[2]); ++x) {
              const T* a = from.at + (z * t.dilation[0] - t.padding[0]) * from.space[0] +
                           (y * t.dilation[1] - t.padding[1]) * from.space[1] +
                           (x * t.dilation[2] - t.padding[2]) * from.space[2];
              T* c = to + z * t.partial_space[0] + y * t.partial_space[1] + x * t.partial_space[2];
              for (int64_t o = 0; o < t.out; o += wide) {
                s.columns = t.out - o < wide ? t.out - o : wide;
                s.b = d + place * d_row + o;
                tiles_of(rows, most, [&](int64_t q, int high, int64_t tiles) {
                  s.a = a + q * s.a_row + (t.each ? o : 0);
                  s.c = c + q * s.c_row + o * s.c_column;
                  s.a_tile = high * s.a_row;
                  s.c_tile = high * s.c_row;
                  if (t.each) Forward<T>::template sweep<Gather::vectors>(s, high, tiles);
                  else Forward<T>::template sweep<Gather::a>(s, high, tiles);
                });
              }
            }
      }
    }
  }

  void note_places(const Grid<T>& from) const {
    int32_t* to = this->along;
    for (int64_t z = 0; z < t.result_size[0]; ++z)
      for (int64_t y = 0; y < t.result_size[1]; ++y)
        for (int64_t x = 0; x < t.result_size[2]; ++x)
          *to++ = static_cast<int32_t>(z * t.stride[0] * from.space[0] + y * t.stride[1] * from.space[1] +
                                       x * t.stride[2] * from.space[2]);
  }

  // A group's derivatives of an image or block, as they are read lane by lane.
  Grid<T> lanes_of(int64_t n, int64_t group, int64_t row_numbers) const {
    const T* from = this->images(t.result, n, group * t.out);
    if (t.along == Along::row && (t.result.space[2] == 1 || t.result_size[2] <= 1))
      return {from, t.result.channel, {t.result.space[0], t.result.space[1], 1}};
    copy_lanes(t, from, n, this->other);
    const int64_t plane = t.result_size[1] * row_numbers;
    return {this->other, t.result_size[0] * plane, {plane, row_numbers, 0}};
  }

  // 16 samples, or 16 places of a row, at once.
  void by_lanes(int64_t chunk, int64_t group) const {
    const bool row = t.along == Along::row;
    const int64_t block = row ? 1 : samples, blocks = (t.n + block - 1) / block;
    const Range mine = share(blocks, static_cast<int>(chunk), static_cast<int>(t.chunks));
    const int64_t k = this->window_size, places = t.result_size[2];
    std::memset(this->sums, 0, static_cast<size_t>(t.out * k * lanes) * sizeof(T));
    Lanewise<T> s{};
    s.steps = row ? places / lanes : places;
    s.rest = row ? places % lanes : 0;
    s.g_step = lanes;
    s.sums_out = k * lanes;
    const int64_t row_numbers = row ? places : places * lanes;
    const int64_t high = t.out < lane_rows ? t.out : lane_rows;
    const int64_t band = band_of(high * row_numbers * static_cast<int64_t>(sizeof(T)));
    for (int64_t b = mine.begin; b < mine.end; ++b) {
      const Grid<T> from = this->source(b * block, group);
      const Grid<T> d = lanes_of(b * block, group, row_numbers);
      s.g_row = d.space[1];
      s.g_out = d.channel;
      if (b == mine.begin)
        this->each_reach([&](const Reach* r, int64_t, int64_t before) {
          this->note_steps(r, from, this->along + before);
        });
      s.x_row = t.stride[1] * from.space[1];
      s.x_step = row ? lanes : t.stride[2] * from.space[2];
      for (int64_t z = 0; z < t.result_size[0]; ++z)
        for (int64_t y = 0; y < t.result_size[1]; y += band) {
          s.rows = t.result_size[1] - y < band ? t.result_size[1] - y : band;
          const T* g = d.at + z * d.space[0] + y * d.space[1];
          s.x = from.at + z * t.stride[0] * from.space[0] + y * s.x_row;
          tiles_of(t.out, lane_rows, [&](int64_t o, int i, int64_t tiles) {
            for (int64_t tile = 0; tile < tiles; ++tile, o += i) {
              s.g = g + o * s.g_out;
              tiles_of(k, lane_columns(i), [&](int64_t first, int j, int64_t across) {
                for (int64_t q = 0; q < across; ++q, first += j) {
                  s.along = this->along + first;
                  s.sums = this->sums + (o * k + first) * lanes;
                  lane_sweeps<T>.of[i][j](s);
                }
              });
            }
          });
        }
    }
    T* const to = partial(chunk, group);
    for (int64_t o = 0; o < t.out; ++o) {
      const T* sum = this->sums + o * k * lanes;
      for (int64_t q = 0; q < t.in; ++q)
        for (int64_t z = 0; z < t.window[0]; ++z)
          for (int64_t y = 0; y < t.window[1]; ++y)
            for (int64_t x = 0; x < t.window[2]; ++x, sum += lanes)
              to[o * t.partial_out + q * t.partial_in + z * t.partial_space[0] + y * t.partial_space[1] +
                 x * t.partial_space[2]] = fold(Lanes<T>::load(sum));
    }
  }

  void run() const {
    const Range mine = share(t.groups * t.chunks, this->frame.part, this->frame.parts);
    clear_border(t, this->copy);
    for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
      if (t.along == Along::channel) by_channels(unit % t.chunks, unit / t.chunks);
      else by_lanes(unit % t.chunks, unit / t.chunks);
    }
  }
};

template <class T>
void run_conv_of(const ConvTask& t, const Frame& frame) {
  if (t.partial_slot < 0) Forward<T>{{t, frame}}.run();
  else Weights<T>{{t, frame}}.run();
}

inline void run_conv(const ConvTask& t, const Frame& frame) {
  if (t.dtype == DType::f32) run_conv_of<float>(t, frame);
  else run_conv_of<double>(t, frame);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
