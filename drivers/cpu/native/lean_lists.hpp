// What the bitmaps left over, as lists of edges by node, filled by several threads at once.
#pragma once

#include <cstdint>
#include <vector>

#include "mutex.hpp"
#include "pages.hpp"
#include "siphash.hpp"

namespace farmcpu {

struct alignas(8) ListChunk {
  static constexpr std::size_t kBytes = 4096, kEdges = kBytes / sizeof(Endpoints) - 1;
  ListChunk *older;
  Endpoints edges[kEdges];
};
static_assert(sizeof(ListChunk) == ListChunk::kBytes);

class ListArena {
 public:
  explicit ListArena(std::size_t edges) : pages_(edges / ListChunk::kEdges * ListChunk::kBytes) {}

  ListChunk *take() {
    const std::lock_guard lock(lock_);
    if (ListChunk *chunk = free_) {
      free_ = chunk->older;
      return chunk;
    }
    if ((used_ + 1) * ListChunk::kBytes > pages_.bytes()) throw std::bad_alloc();
    return reinterpret_cast<ListChunk *>(pages_.data() + used_++ * ListChunk::kBytes);
  }

  void give(ListChunk *chunk) {
    const std::lock_guard lock(lock_);
    chunk->older = free_;
    free_ = chunk;
  }

  void clear() {
    free_ = nullptr;
    used_ = 0;
    pages_.release();
  }

 private:
  Pages pages_;
  Mutex lock_;
  ListChunk *free_ = nullptr;
  std::size_t used_ = 0;
};

// One thread's lists, a list a bucket: chunks, the newest first and only that one not full.
class EdgeLists {
 public:
  EdgeLists(ListArena &arena, std::size_t buckets) : arena_(&arena), lists_(buckets) {}

  void push_if(bool keep, std::size_t bucket, Endpoints edge) {
    List &list = lists_[bucket];
    if (list.next == list.end) [[unlikely]]
      grow(list);
    *list.next = edge;
    list.next += keep;
  }

  template <typename Visit>
  void for_each(std::size_t bucket, Visit visit) const {
    const List &list = lists_[bucket];
    const Endpoints *end = list.next;
    for (const ListChunk *chunk = list.chunk; chunk; chunk = chunk->older) {
      for (const Endpoints *e = chunk->edges; e != end; ++e) visit(*e);
      if (chunk->older) end = chunk->older->edges + ListChunk::kEdges;
    }
  }

  // The same, handing each chunk back once it is read.
  template <typename Visit>
  void drain(std::size_t bucket, Visit visit) {
    List &list = lists_[bucket];
    const Endpoints *end = list.next;
    while (ListChunk *chunk = list.chunk) {
      for (const Endpoints *e = chunk->edges; e != end; ++e) visit(*e);
      if ((list.chunk = chunk->older)) end = list.chunk->edges + ListChunk::kEdges;
      arena_->give(chunk);
    }
    list = {};
  }

  std::size_t count() const { return lists_.size(); }

 private:
  struct List {
    Endpoints *next = nullptr, *end = nullptr;
    ListChunk *chunk = nullptr;
  };

  void grow(List &list) {
    ListChunk *chunk = arena_->take();
    chunk->older = list.chunk;
    list = {chunk->edges, chunk->edges + ListChunk::kEdges, chunk};
  }

  ListArena *arena_;
  std::vector<List> lists_;
};

}  // namespace farmcpu
