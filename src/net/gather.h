// What is about to leave in one write: text made on the spot and bytes that somebody else owns, in order.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace limpet::net {

// Reused: clear() keeps the memory. What bytes() referred to has to stay until then.
class Gather {
 public:
  void text(std::string_view made);       // copied
  void bytes(std::string_view borrowed);  // referred to
  // Room for so many bytes of made text; wrote() takes what was written there, up to `end`.
  char* room(size_t most);
  void wrote(const char* end);

  bool empty() const { return parts_.empty(); }
  size_t size() const { return size_; }
  std::span<const iovec> parts();  // valid until the next call that is not const
  // Of one that holds made text alone: all of it, valid as long.
  std::string_view all_text() const { return {text_.get(), size_}; }
  void clear();

 private:
  struct Part {
    const char* borrowed;  // nullptr: made text
    size_t at;             // where made text begins in text_
    size_t size;
  };

  std::unique_ptr<char[]> text_;
  size_t capacity_ = 0;
  size_t used_ = 0;  // how much of text_ belongs to parts
  size_t size_ = 0;
  std::vector<Part> parts_;
  std::vector<iovec> io_;
};

}  // namespace limpet::net
