// Windows that slide over images, made ready: the largest or the mean of each, what goes back to its pixels,
// columns added to images. A plain struct for kernels/pool.h, made by pool.cpp.
#pragma once

#include "core/places.h"

namespace glassgrad {

struct Instruction;
struct Work;

constexpr int pool_axes = 5;            // of images: their number, channels, up to three of space
constexpr int64_t pool_block = 4096;    // numbers of an image that are moved together

// The operands, whatever the kernel: pixels, one number for each window, and where in its window the first
// largest is. A window's places are counted row by row; `no_place` (all bits) where there is none.
namespace pool_operand {
enum : int { image, value, place, count };
}

// One axis of the images. Number and channels have windows of one pixel, one pixel apart.
struct PoolAxis {
  int64_t pixels, windows;
  int64_t kernel, stride, dilation;
  int64_t weight;                       // by how much a place grows along this axis
  int64_t step[pool_operand::count];    // of an operand, from pixel to pixel or window to window
};

enum class PoolWay : int64_t {
  windows,  // window after window: images are read, or no two windows share a pixel
  pixels,   // pixel after pixel: the sum of what the windows that cover it have for it
};

struct PoolTask {
  Kernel kernel;
  DType dtype;
  PoolWay way;
  bool wide;         // places are u32, otherwise u8
  bool positive;     // max_pool, max_place: a place only for what is above 0
  bool direct;       // runs are worked on where they lie, otherwise they are moved together first
  bool covered;      // every pixel is in a window
  int slot[pool_operand::count];
  int rank;
  PoolAxis axis[pool_axes];  // in the order of the memory that is written: parts share the first,
                             // vectors go along the last
  int by_place[pool_axes];   // the axes in the order in which places are counted
  int64_t kernel_size;       // pixels of a window
  int64_t column;            // uncolumns: from place to place of a window
  int64_t length, rows;      // of what is moved together: along the last axis, and of the one before
  int64_t stage, value_at, place_at;  // where in scratch, behind the places of a window
};

PoolTask prepare_pool(const Instruction& instruction, Work* work);

}  // namespace glassgrad
