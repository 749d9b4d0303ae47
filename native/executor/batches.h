// The loop over batches: many steps of training, each a run of a plan, without coming back in between.
#pragma once

#include "run.h"

namespace glassgrad {

// A base whose memory is `rows` rows of a data set, those of the batch. Bytes may become real numbers,
// times a scale, on the way.
struct RowsOf {
  enum Kind { as_they_are, bytes_to_f32, bytes_to_f64 };
  int base;
  char* data;
  int64_t row_bytes;  // in the data set
  Kind kind = as_they_are;
  double scale = 1;
  Arena gathered{};  // of a batch, where rows do not lie as the plan wants them

  int64_t batch_row_bytes() const {
    return row_bytes * (kind == as_they_are ? 1 : kind == bytes_to_f32 ? 4 : 8);
  }
};

// A base that is row i of a table in step i: numbers from the host (rate, step, seed) that a step reads,
// or results that it writes.
struct RowOfTable {
  int base;
  int64_t row_bytes;
};

struct Advance {
  int64_t first;           // number of the first step, from the start of the first epoch in `order`
  int64_t count;           // of steps
  const int64_t* order;    // epochs x rows: which row comes when; nullptr: as they lie
  int64_t epochs;          // in `order`
  char* const* tables;     // one for each RowOfTable, with `count` rows
  double budget;           // seconds, after which to come back; 0: none
};

class Batches {
 public:
  // `rest`, if there is one, is the plan of the last, smaller batch of an epoch; its bases are those of
  // `plan`. Without it rows that do not fill a batch are left out. addresses[i] is where base i + 1
  // is, and nullptr for those in `data` and `tables`. Raises PlanError where these do not fit.
  Batches(Plan& plan, Plan* rest, std::vector<char*> addresses, std::vector<RowsOf> data,
          std::vector<RowOfTable> tables, int64_t rows, int64_t batch);

  int64_t steps_per_epoch() const { return per_epoch_; }

  // Stops early when a step does not end well, which then is not counted, or when time is up.
  Outcome advance(const Advance&);

 private:
  struct Place;
  void bind(const Advance&, Walk&, const Place&) const;
  bool gather(const Member&, const Place&) const;

  Plan& plan_;
  Plan* rest_;
  std::vector<char*> addresses_;
  std::vector<RowsOf> data_;
  std::vector<RowOfTable> tables_;
  std::vector<int64_t> counting_;  // 0, 1, 2, ...: the order of rows that lie together
  int64_t rows_;
  int64_t batch_;
  int64_t per_epoch_;
};

}  // namespace glassgrad
