/* What the host tells the mean trimmer; drivers/kernels/layout.py has the same in Python. Edges
 * lie in buckets by the node of the side that is looked at next. A list of edges that is sorted
 * so is a segment: 2^bucket_bits buckets of equal capacity, one after another. */
#ifndef CUCKOO_MEAN_H
#define CUCKOO_MEAN_H

#include "vendor.h"

typedef struct {
  u64 offset;   /* of its first bucket in the arena, in edges; may lie before the arena where
                   the first buckets are never used */
  u64 capacity; /* edges of one bucket */
} Segment;

/* One launch. */
typedef struct {
  u32 round;            /* whose survivors are counted; 0 is the generation */
  u32 side;             /* looked at: 0 is u, 1 is v */
  u32 first_bucket;     /* buckets from here on: one a group in `trim` and `collect` */
  u32 buckets;          /* how many */
  u32 input, inputs;    /* segments read: `inputs` of them, from number `input` on */
  u32 output;           /* segment written */
  u32 aggregate;        /* 1: one global atomic a bucket and tile, 0: one an edge */
} Step;

typedef struct {
  u64 entry; /* v << 32 | u */
  u64 edge;  /* its number; several edges may have the same ends */
} Found;

typedef struct {
  u64 keys[4];
  u32 stop;        /* not 0: what is under way ends at the next launch's start */
  u32 edge_bits;
  u32 bucket_bits; /* at least 1 */
  u32 pair;        /* what a node is xored with to give the one it meets: Cuckatoo 1, else 0 */
  u32 wanted_count, found_capacity;
  u64 *arena;
  const Segment *segments;
  const Step *steps;
  u64 *counters;     /* dropped, found, collected, then survivors of round 0, 1, 2 ... */
  u64 counter_words; /* 32-bit words to clear for each graph: the counters, and the counts */
  u32 *counts;       /* per segment and bucket: edges offered, also past the capacity */
  u32 *bitmaps;   /* three sets of counters, one per node, for the tail */
  u64 bitmap_words; /* of one set */
  u64 *lists;     /* three lists for the tail */
  u64 list_capacity;
  const u64 *wanted; /* entries looked for, ascending */
  Found *found;
} Job;

enum { DROPPED, FOUND, COLLECTED, SURVIVORS };

#endif
