#include "src/http/h2_outgoing.h"

#include <algorithm>

namespace limpet::http {

void H2Outgoing::take(size_t bytes, net::Gather& out) {
  size_ -= bytes;
  if (const size_t kept = std::min(bytes, kept_.size() - left_); kept != 0) {
    out.bytes(std::string_view(kept_).substr(left_, kept));
    left_ += kept;
    bytes -= kept;
  }
  size_t whole = 0;
  while (bytes != 0) {
    std::string_view& piece = borrowed_[whole];
    const size_t part = std::min(bytes, piece.size());
    out.bytes(piece.substr(0, part));
    piece.remove_prefix(part);
    bytes -= part;
    if (piece.empty()) ++whole;
  }
  borrowed_.erase(borrowed_.begin(), borrowed_.begin() + static_cast<std::ptrdiff_t>(whole));
}

void H2Outgoing::keep() {
  kept_.erase(0, left_);
  left_ = 0;
  for (const std::string_view piece : borrowed_) kept_.append(piece);
  borrowed_.clear();
  if (kept_.empty() && kept_.capacity() > kMostSpare) kept_ = {};
}

void H2Outgoing::clear() {
  kept_.clear();
  left_ = size_ = 0;
  borrowed_.clear();
  ended_ = false;
  keep();
}

}  // namespace limpet::http
