// The content of one stream on its way out: what the peer's flow control does not let go yet is kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/net/gather.h"

namespace limpet::http {

class H2Outgoing {
 public:
  void add(std::string_view piece) {  // it has to stay until keep()
    if (piece.empty()) return;
    borrowed_.push_back(piece);
    size_ += piece.size();
  }
  void end() { ended_ = true; }  // nothing more is added

  size_t size() const { return size_; }  // bytes that have not left
  bool has_ended() const { return ended_; }

  // So many bytes, of those that there are, leave; `out` refers to them until keep().
  void take(size_t bytes, net::Gather& out);
  // What was added and has not left is copied.
  void keep();
  void clear();

 private:
  static constexpr size_t kMostSpare = 16 * 1024;

  std::string kept_;
  size_t left_ = 0;  // bytes of kept_ that have left
  std::vector<std::string_view> borrowed_;
  size_t size_ = 0;
  bool ended_ = false;
};

}  // namespace limpet::http
