#include "src/net/gather.h"

namespace limpet::net {

void Gather::add_text(size_t at, size_t size) {
  if (size == 0) return;
  size_ += size;
  if (!parts_.empty() && parts_.back().borrowed == nullptr) {
    parts_.back().size += size;
  } else {
    parts_.push_back({nullptr, at, size});
  }
}

void Gather::text(std::string_view made) {
  text_.append(made);
  close_text();
}

void Gather::bytes(std::string_view borrowed) {
  if (borrowed.empty()) return;
  size_ += borrowed.size();
  parts_.push_back({borrowed.data(), 0, borrowed.size()});
}

std::string& Gather::open_text() { return text_; }

void Gather::close_text() {
  add_text(taken_, text_.size() - taken_);
  taken_ = text_.size();
}

std::span<const iovec> Gather::parts() {
  io_.clear();
  for (const Part& part : parts_) {
    const char* base = part.borrowed != nullptr ? part.borrowed : text_.data() + part.at;
    io_.push_back({const_cast<char*>(base), part.size});
  }
  return io_;
}

void Gather::clear() {
  text_.clear();
  taken_ = size_ = 0;
  parts_.clear();
}

}  // namespace limpet::net
