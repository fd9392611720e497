// Reads a peer's HTTP/1.1 messages out of what has reached it, as strictly as the worst of peers would: what
// it cannot frame in exactly one way is a fault of whoever wrote it. Shares no code with what it tests.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limpet::test {

class MessageReader {
 public:
  enum class Side : uint8_t { requests, responses };

  struct Message {
    std::string first_line;
    std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
    size_t body_size = 0;
    bool until_end = false;  // only the connection's end tells the body's
    bool complete = false;

    std::string field(std::string_view name) const {
      for (const auto& [key, value] : fields) {
        if (key == name) return value;
      }
      return {};
    }
    size_t count(std::string_view name) const {
      return static_cast<size_t>(std::count_if(fields.begin(), fields.end(),
                                               [&](const auto& field) { return field.first == name; }));
    }
    std::string word(size_t index) const {  // of the first line
      size_t begin = 0;
      while (index-- > 0) begin = first_line.find(' ', begin) + 1;
      return first_line.substr(begin, first_line.find(' ', begin) - begin);
    }
    int status() const { return std::atoi(word(1).c_str()); }
  };

  explicit MessageReader(Side side) : side_(side) {}

  std::deque<Message> messages;  // final ones; the last may be incomplete
  size_t interim = 0;            // interim answers so far
  bool tunnel = false;           // what follows is no HTTP
  std::string fault;             // the first thing that could not be read

  // A request was sent, so one answer may come.
  void expect_answer(bool to_head) { expected_.push_back(to_head); }

  void feed(std::string_view bytes) {
    rest_.append(bytes);
    while (fault.empty() && !tunnel && step()) {
    }
    if (tunnel) rest_.clear();
  }

  // The connection ended in order.
  void end() {
    if (!fault.empty() || tunnel) return;
    if (state_ == State::until_end) {
      messages.back().complete = true;
      state_ = State::head;
    } else if (state_ != State::head || !rest_.empty()) {
      ended_early_ = true;
    }
  }
  bool ended_early() const { return ended_early_; }

 private:
  enum class State : uint8_t { head, length, chunk_size, chunk, chunk_end, trailers, until_end };

  bool step() {
    switch (state_) {
      case State::head:
        return read_head();
      case State::length:
        return read_body(State::head);
      case State::chunk_size:
        return read_chunk_size();
      case State::chunk:
        return read_body(State::chunk_end);
      case State::chunk_end:
        return read_chunk_end();
      case State::trailers:
        return read_trailer();
      case State::until_end:
        messages.back().body_size += rest_.size();
        rest_.clear();
        return false;
    }
    return false;
  }

  bool wrong(std::string what) {
    fault = std::move(what);
    return false;
  }

  // The next line without its CRLF.
  bool take_line(std::string& line) {
    const size_t end = rest_.find("\r\n");
    if (end == std::string::npos) return false;
    line = rest_.substr(0, end);
    rest_.erase(0, end + 2);
    return true;
  }

  static bool is_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
             std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
  }

  bool read_head() {
    const size_t end = rest_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    Message message;
    std::string line;
    take_line(message.first_line);
    while (take_line(line) && !line.empty()) {
      const size_t colon = line.find(':');
      if (colon == std::string::npos || !is_name(std::string_view(line).substr(0, colon)))
        return wrong("a field line without a name: " + line);
      if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
        return wrong("a control character in a field line");
      std::string name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      size_t from = line.find_first_not_of(" \t", colon + 1);
      if (from == std::string::npos) from = line.size();
      message.fields.emplace_back(std::move(name), line.substr(from));
    }
    return side_ == Side::requests ? begin_request(std::move(message)) : begin_response(std::move(message));
  }

  bool begin_request(Message message) {
    if (std::count(message.first_line.begin(), message.first_line.end(), ' ') != 2 ||
        !message.first_line.ends_with(" HTTP/1.1")) {
      return wrong("a request line that is none: " + message.first_line);
    }
    if (message.count("host") != 1) return wrong("a request without exactly one Host");
    messages.push_back(std::move(message));
    return begin_body(true, State::head);
  }

  bool begin_response(Message message) {
    const std::string& line = message.first_line;
    if (!line.starts_with("HTTP/1.1 ") || line.size() < 13 || line[12] != ' ')
      return wrong("a status line that is none: " + line);
    const int status = message.status();
    if (expected_.empty()) return wrong("an answer to no request: " + line);
    if (status < 200 && status != 101) {
      if (message.count("content-length") + message.count("transfer-encoding") != 0)
        return wrong("an interim answer with a length");
      ++interim;
      return true;
    }
    const bool to_head = expected_.front();
    expected_.pop_front();
    messages.push_back(std::move(message));
    if (status == 101) {
      messages.back().complete = tunnel = true;
      return false;
    }
    return begin_body(!to_head && status != 204 && status != 304, State::until_end);
  }

  bool begin_body(bool may_have_one, State without_framing) {
    Message& message = messages.back();
    const size_t lengths = message.count("content-length");
    const size_t codings = message.count("transfer-encoding");
    if (lengths + codings > 1) return wrong("framed twice");
    if (codings == 1 && message.field("transfer-encoding") != "chunked") return wrong("an unknown coding");
    const std::string length = message.field("content-length");
    if (lengths == 1 && (length.empty() || length.find_first_not_of("0123456789") != std::string::npos))
      return wrong("a length that is no number");
    if (!may_have_one) {
      if (codings == 1) return wrong("a coding where no body is");
      message.complete = true;
    } else if (codings == 1) {
      state_ = State::chunk_size;
    } else if (lengths == 1) {
      left_ = std::stoul(length);
      if (left_ != 0) state_ = State::length;
      message.complete = left_ == 0;
    } else {
      state_ = without_framing;
      message.until_end = without_framing == State::until_end;
      message.complete = !message.until_end;
    }
    return true;
  }

  bool read_body(State then) {
    const size_t size = std::min(left_, rest_.size());
    rest_.erase(0, size);
    left_ -= size;
    messages.back().body_size += size;
    if (left_ != 0) return false;
    state_ = then;
    if (then == State::head) messages.back().complete = true;
    return true;
  }

  bool read_chunk_size() {
    std::string line;
    if (!take_line(line)) return rest_.size() > 64 ? wrong("a chunk's size without an end") : false;
    if (line.empty() || line.size() > 8 || line.find_first_not_of("0123456789abcdef") != std::string::npos)
      return wrong("a chunk's size that is none: " + line);
    left_ = std::stoul(line, nullptr, 16);
    state_ = left_ == 0 ? State::trailers : State::chunk;
    return true;
  }

  bool read_chunk_end() {
    if (rest_.size() < 2) return false;
    if (!rest_.starts_with("\r\n")) return wrong("a chunk longer than it says");
    rest_.erase(0, 2);
    state_ = State::chunk_size;
    return true;
  }

  bool read_trailer() {
    std::string line;
    if (!take_line(line)) return false;
    if (line.empty()) {
      messages.back().complete = true;
      state_ = State::head;
      return true;
    }
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !is_name(std::string_view(line).substr(0, colon)))
      return wrong("a trailer line without a name");
    return true;
  }

  const Side side_;
  State state_ = State::head;
  std::deque<bool> expected_;  // to each request that has no answer yet: whether it was HEAD
  std::string rest_;
  size_t left_ = 0;  // of a body or a chunk
  bool ended_early_ = false;
};

}  // namespace limpet::test
