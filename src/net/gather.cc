#include "src/net/gather.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace limpet::net {

char* Gather::room(size_t most) {
  if (used_ + most > capacity_) {
    const size_t capacity = std::max(2 * capacity_, used_ + most);
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (used_ != 0) std::memcpy(larger.get(), text_.get(), used_);
    text_ = std::move(larger);
    capacity_ = capacity;
  }
  return text_.get() + used_;
}

void Gather::wrote(const char* end) {
  const size_t size = static_cast<size_t>(end - text_.get()) - used_;
  assert(used_ + size <= capacity_);
  if (size == 0) return;
  if (!parts_.empty() && parts_.back().borrowed == nullptr) {
    parts_.back().size += size;
  } else {
    parts_.push_back({nullptr, used_, size});
  }
  used_ += size;
  size_ += size;
}

void Gather::text(std::string_view made) {
  if (made.empty()) return;  // its data() may be null
  char* const at = room(made.size());
  std::memcpy(at, made.data(), made.size());
  wrote(at + made.size());
}

void Gather::bytes(std::string_view borrowed) {
  if (borrowed.empty()) return;
  size_ += borrowed.size();
  parts_.push_back({borrowed.data(), 0, borrowed.size()});
}

std::span<const iovec> Gather::parts() {
  io_.clear();
  for (const Part& part : parts_) {
    const char* base = part.borrowed != nullptr ? part.borrowed : text_.get() + part.at;
    io_.push_back({const_cast<char*>(base), part.size});
  }
  return io_;
}

void Gather::clear() {
  used_ = size_ = 0;
  parts_.clear();
}

}  // namespace limpet::net
