// Things that were used and are used again, with the memory that they have.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/net/loop.h"

namespace limpet::proxy {

// Empties a buffer that is used again, and gives back what is more than most need.
inline void clear_for_reuse(std::string& buffer) {
  constexpr size_t kMostSpareBytes = 16 * 1024;
  if (buffer.capacity() > kMostSpareBytes) {
    buffer = {};
  } else {
    buffer.clear();
  }
}

template <class T>
class Spares {
 public:
  // A used one where there is one, else a new one, made of `from`.
  template <class From>
  std::unique_ptr<T> take(From& from) {
    if (used_.empty()) return std::make_unique<T>(from);
    std::unique_ptr<T> used = std::move(used_.back());
    used_.pop_back();
    return used;
  }
  // May be called from within it.
  void give_back(std::unique_ptr<T> used, net::Graveyard& graveyard) {
    if (used_.size() < kMost) {
      used_.push_back(std::move(used));
    } else {
      graveyard.bury(std::move(used));
    }
  }

 private:
  static constexpr size_t kMost = 1024;  // what ten HTTP/2 connections may have under way

  std::vector<std::unique_ptr<T>> used_;
};

}  // namespace limpet::proxy
