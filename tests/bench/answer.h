// Answers as the benchmark's clients read them: a head with Content-Length, and so many bytes.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

constexpr std::string_view kEndOfHead = "\r\n\r\n";

// One after the other of one connection.
class Answer {
 public:
  enum class Progress { partial, whole, wrong };  // wrong: no answer to one request

  Progress take(std::string_view bytes) {
    if (!in_body_) {
      in_.append(bytes);
      const size_t end = in_.find(kEndOfHead);
      if (end == std::string::npos) return Progress::partial;
      const std::string_view head = std::string_view(in_).substr(0, end + 2);
      const size_t length = content_length(head);
      if (length == std::string::npos || head.size() < 12) return Progress::wrong;
      is_2xx_ = head[9] == '2';
      in_body_ = true;
      body_left_ = length;
      bytes = std::string_view(in_).substr(end + kEndOfHead.size());
    }
    if (bytes.size() > body_left_) return Progress::wrong;
    body_left_ -= bytes.size();
    if (body_left_ != 0) return Progress::partial;
    in_.clear();
    in_body_ = false;
    return Progress::whole;
  }

  bool is_2xx() const { return is_2xx_; }

 private:
  static size_t content_length(std::string_view head) {
    constexpr std::string_view kName = "\r\ncontent-length:";
    const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
    const auto at = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
    if (at == head.end()) return std::string::npos;
    auto from = at + static_cast<std::ptrdiff_t>(kName.size());
    while (from != head.end() && *from == ' ') from++;
    size_t length = std::string::npos;
    std::from_chars(&*from, head.data() + head.size(), length);
    return length;
  }

  std::string in_;  // of the head
  size_t body_left_ = 0;
  bool in_body_ = false, is_2xx_ = false;
};

inline std::vector<std::string> read_heads(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  const std::string all = text.str();
  std::vector<std::string> heads;
  for (size_t from = 0, end; (end = all.find(kEndOfHead, from)) != std::string::npos;
       from = end + kEndOfHead.size()) {
    heads.push_back(all.substr(from, end + kEndOfHead.size() - from));
  }
  return heads;
}

}  // namespace bench
