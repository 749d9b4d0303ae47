// `attention` and `attention_back`, made ready: softmax(q k^T / root) v and its derivatives, by blocks of
// queries, so that scores stay in cache and are never stored.
#pragma once

#include "core/places.h"

namespace glassgrad {

struct Instruction;
struct Work;

namespace attention_operand {
enum : int { g, q, k, v, mask, y, dq, dk, dv, count };
}

// Every operand is a matrix for each batch. Strides are in elements.
struct AttentionTask {
  DType dtype;
  bool causal;  // query i attends to keys 0 to i
  int slot[attention_operand::count];  // -1: not there
  int64_t row[attention_operand::count], column[attention_operand::count];
  int64_t queries, keys;
  int64_t width;   // of queries and keys
  int64_t values;  // the width of values
  double root;     // products of queries and keys are divided by it
  Places<attention_operand::count> batch;
  int64_t block;   // queries that go together
  int64_t blocks;
  int64_t units;

  // Sizes in numbers, rounded up so that every vector is a whole one.
  int64_t scores_row, width_row, values_row;
  // Scratch: where each piece begins, in numbers.
  int64_t keys_turned, values_turned, keys_as_are, values_as_are, queries_at, g_at, scores_at, d_scores_at,
      result_at, sums_at, dk_at, dv_at;

  // The first key that no query of a block attends to, and so of one query.
  int64_t reach(int64_t end) const { return causal && end < keys ? end : keys; }
};

AttentionTask prepare_attention(const Instruction&, Work*);

}  // namespace glassgrad
