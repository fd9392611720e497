// A stream of HTTP/2 as a peer's line: what the peer says in HTTP/1.1 goes as frames, and what comes is told
// as HTTP/1.1, always in chunks where it has content, so that only END_STREAM ends it.
//
// H2End is one end of a connection with all its lines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/h2_peer.h"
#include "tests/support/line.h"

namespace limpet::test {

class H2End;

class H2Line final : public Line {
 public:
  // A client's, whose stream begins with its request; or a server's, of the stream with this number.
  H2Line(H2End& end, int32_t id);

  void say(std::string_view text) override;
  void end() override;
  void abort() override { reset(NGHTTP2_CANCEL); }
  const std::string& received() const override { return received_; }
  std::string fault() const override { return fault_; }
  bool is_open() const override;
  bool has_ended_in_order() const override { return false; }  // which would end what has no length
  size_t heard() const override;
  bool is_disowned() const override { return is_disowned_; }

  void reset(uint32_t error);
  int32_t id() const { return id_; }

 private:
  friend class H2End;
  enum class Says : uint8_t { head, length, chunks, until_end, tunnel };

  bool say_next();
  void say_request(const Headers& fields, const std::string& first_line);
  void say_answer(const Headers& fields, const std::string& first_line);
  bool say_chunk();
  void content(std::string_view piece, bool ends);
  void hear(H2Peer::Message& message);
  void hear_head(const H2Peer::Message& message);
  std::string lines_of(const Headers& head);
  static std::optional<std::string> take(Headers& fields, std::string_view name);

  H2End& end_;
  int32_t id_;  // 0: a client's that has not asked
  const bool asks_;
  Says says_ = Says::head;
  std::string to_say_;  // that is no whole piece yet
  size_t left_ = 0;     // of content by length
  bool to_head_ = false;
  bool is_upgrade_ = false;  // the request asked for a WebSocket
  bool is_disowned_ = false;
  bool has_said_head_ = false, said_end_ = false;
  size_t answered_at_ = 0;  // so much was said on the connection when an answer had begun
  bool answer_waits_ = false;

  std::string received_, fault_, length_;
  size_t interim_ = 0, content_ = 0;  // of what came
  bool has_head_ = false, has_content_ = false, ended_ = false;
};

class H2End {
 public:
  H2End(FakeStream& its_stream, H2Peer::Role role, std::vector<nghttp2_settings_entry> settings)
      : stream(its_stream), role_(role), peer(its_stream, role, std::move(settings)) {
    turn();
  }

  FakeStream& stream;

 private:
  const H2Peer::Role role_;

 public:
  H2Peer peer;
  std::vector<std::unique_ptr<H2Line>> lines;
  bool sound = true;  // it has said nothing but what HTTP/2 allows

  // A client's next request is said by it.
  H2Line& line(int32_t id = 0) {
    lines.push_back(std::make_unique<H2Line>(*this, id));
    return *lines.back();
  }
  // Hears what came, and says what it has to. New lines of a server are at the end.
  void turn() {
    peer.hear();
    if (role_ == H2Peer::Role::server) {
      for (const auto& [id, message] : peer.messages)
        if (id > latest_ && message.heads_done) line(latest_ = id);
    }
    for (const auto& each : lines)
      if (each->id_ > 0) each->hear(peer.messages[each->id_]);
    speak();
  }
  void speak() {
    const std::string bytes = peer.next();
    said_ += bytes.size();
    stream.say(bytes);
    for (const auto& each : lines)
      if (std::exchange(each->answer_waits_, false)) each->answered_at_ = said_;
  }
  // Anything.
  void say_raw(std::string_view bytes) {
    sound = false;
    said_ += bytes.size();
    stream.say(bytes);
  }
  // What comes behind this line's stream is not looked at.
  void go_away(const H2Line& last) {
    peer.go_away(last.id_);
    for (const auto& each : lines)
      if (each->id_ > last.id_ && !each->has_said_head_) each->is_disowned_ = true;
    speak();
  }
  std::string fault() const { return sound && peer.broken ? "what is no HTTP/2" : ""; }

 private:
  friend class H2Line;
  int32_t latest_ = 0;
  size_t said_ = 0;
};

inline H2Line::H2Line(H2End& end, int32_t id)
    : Line(end.stream), end_(end), id_(id), asks_(end.role_ == H2Peer::Role::client) {}

inline bool H2Line::is_open() const {
  if (!Line::is_open() || ended_) return false;
  return id_ == 0 || !end_.peer[id_].closed;
}

inline size_t H2Line::heard() const {
  return answered_at_ != 0 && stream.read_bytes() >= answered_at_ ? 1 : 0;
}

// ---- what is said

inline void H2Line::say(std::string_view text) {
  to_say_.append(text);
  while (!to_say_.empty() && say_next()) {
  }
  end_.speak();
}

inline bool H2Line::say_next() {
  switch (says_) {
    case Says::head: {
      const size_t end = to_say_.find("\r\n\r\n");
      if (end == std::string::npos) return false;
      std::string_view head(to_say_.data(), end + 2);
      const std::string first_line(head.substr(0, head.find("\r\n")));
      Headers fields;
      for (head.remove_prefix(first_line.size() + 2); !head.empty();
           head.remove_prefix(head.find("\r\n") + 2)) {
        const std::string_view line = head.substr(0, head.find("\r\n"));
        std::string name(line.substr(0, line.find(':')));
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        fields.emplace_back(std::move(name), line.substr(std::min(line.size(), line.find(':') + 2)));
      }
      to_say_.erase(0, end + 4);
      take(fields, "connection");
      take(fields, "keep-alive");
      asks_ ? say_request(fields, first_line) : say_answer(fields, first_line);
      return true;
    }
    case Says::length: {
      const size_t size = std::min(left_, to_say_.size());
      left_ -= size;
      content(std::string_view(to_say_).substr(0, size), left_ == 0);
      to_say_.erase(0, size);
      return left_ != 0;
    }
    case Says::chunks:
      return say_chunk();
    case Says::until_end:
    case Says::tunnel:
      content(to_say_, false);
      to_say_.clear();
      return false;
  }
  return false;
}

inline void H2Line::say_request(const Headers& given, const std::string& first_line) {
  Headers fields = given;
  const std::string method = first_line.substr(0, first_line.find(' '));
  const size_t target = method.size() + 1;
  const std::optional<std::string> length = take(fields, "content-length");
  const bool in_chunks = take(fields, "transfer-encoding").has_value();
  const bool has_content = in_chunks || (length && *length != "0");
  is_upgrade_ = take(fields, "upgrade").has_value() && method == "GET" && !has_content;  // RFC 8441
  to_head_ = method == "HEAD";
  Headers head{{":method", is_upgrade_ ? "CONNECT" : method}};
  if (is_upgrade_) head.emplace_back(":protocol", "websocket");
  head.emplace_back(":scheme", "http");
  head.emplace_back(":path", first_line.substr(target, first_line.rfind(' ') - target));
  head.emplace_back(":authority", take(fields, "host").value_or("a"));
  if (length) fields.emplace_back("content-length", *length);
  head.insert(head.end(), fields.begin(), fields.end());
  left_ = length ? std::strtoul(length->c_str(), nullptr, 10) : 0;
  says_ = is_upgrade_ ? Says::tunnel : in_chunks ? Says::chunks : Says::length;
  const bool more = is_upgrade_ || in_chunks || left_ != 0;
  has_said_head_ = true;
  said_end_ = !more;
  id_ = end_.peer.ask(head, more);
}

inline void H2Line::say_answer(const Headers& given, const std::string& first_line) {
  Headers fields = given;
  const std::string status = first_line.substr(9, 3);
  const bool switches = status == "101" && is_upgrade_;
  const std::optional<std::string> length = take(fields, "content-length");
  const bool in_chunks = take(fields, "transfer-encoding").has_value();
  take(fields, "upgrade");
  fields.insert(fields.begin(), {":status", switches ? "200" : status});
  if (length && status != "204") fields.emplace_back("content-length", *length);
  answer_waits_ = true;
  if (status[0] == '1' && status != "101") return end_.peer.answer_interim(id_, fields);
  has_said_head_ = true;
  left_ = length ? std::strtoul(length->c_str(), nullptr, 10) : 0;
  says_ = status == "101" ? Says::tunnel : in_chunks ? Says::chunks : length ? Says::length : Says::until_end;
  const bool bodiless = to_head_ || status == "204" || status == "304";
  const bool more = !bodiless && (says_ != Says::length || left_ != 0);
  said_end_ = !more;
  end_.peer.answer(id_, fields, more);
}

// The peers say each of them at once.
inline bool H2Line::say_chunk() {
  const size_t line = to_say_.find("\r\n");
  if (line == std::string::npos) return false;
  const size_t size = std::strtoul(to_say_.c_str(), nullptr, 16);
  if (size != 0) {
    if (to_say_.size() < line + 2 + size + 2) return false;
    content(std::string_view(to_say_).substr(line + 2, size), false);
    to_say_.erase(0, line + 2 + size + 2);
    return true;
  }
  const bool has_trailers = to_say_.find("X-Trailer") != std::string::npos;
  to_say_.clear();
  said_end_ = true;
  if (has_trailers) {
    end_.peer.trailers(id_, {{"x-trailer", "t"}});
  } else {
    content({}, true);
  }
  return false;
}

inline void H2Line::content(std::string_view piece, bool ends) {
  said_end_ = said_end_ || ends;
  if (id_ > 0) end_.peer.content(id_, piece, ends);
}

inline void H2Line::end() {
  if (says_ == Says::until_end || says_ == Says::tunnel) {
    content({}, true);
    end_.speak();
  } else {
    abort();
  }
}

inline void H2Line::reset(uint32_t error) {
  if (id_ <= 0) return;
  is_disowned_ = is_disowned_ || (error == NGHTTP2_REFUSED_STREAM && !has_said_head_ && !answered_at_);
  said_end_ = true;
  end_.peer.reset(id_, error);
  end_.speak();
}

// ---- what is heard

inline void H2Line::hear(H2Peer::Message& message) {
  for (; interim_ < message.interim.size(); ++interim_) {
    const Headers& head = message.interim[interim_];
    received_ +=
        "HTTP/1.1 " + (head.empty() ? "" : head.front().second) + " Heard\r\n" + lines_of(head) + "\r\n";
  }
  if (!has_head_ && message.heads_done) {
    const std::string status = message.status();
    // What has no content is whole when its stream ends, and not before.
    const bool bodiless = asks_ && (to_head_ || status == "204" || status == "304");
    if (bodiless && !message.ended) return;
    has_head_ = true;
    hear_head(message);
  }
  if (!has_head_) return;
  std::string piece = std::exchange(message.content, {});
  content_ += piece.size();
  if (!piece.empty() && says_ == Says::tunnel && is_upgrade_) {
    received_ += piece;
  } else if (!piece.empty()) {
    if (!has_content_) fault_ = "content where none may be";
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    received_.append(size).append(piece).append("\r\n");
  }
  if (!message.ended || ended_) return;
  ended_ = true;
  if (!length_.empty() && has_content_ && length_ != std::to_string(content_))
    fault_ = "content that is not as long as it says";
  if (!has_content_) return;
  received_ += "0\r\n" + lines_of(message.trailers) + "\r\n";
}

inline void H2Line::hear_head(const H2Peer::Message& message) {
  const bool is_whole = message.ended && message.content.empty() && message.trailers.empty();
  if (asks_) {
    const std::string status = message.status();
    const bool switches = is_upgrade_ && status[0] == '2';
    received_ += "HTTP/1.1 " + (switches ? "101" : status) + " Heard\r\n" + lines_of(message.head);
    has_content_ = !switches && !(to_head_ || status == "204" || status == "304");
    if (!switches && is_upgrade_) {
      says_ = Says::until_end;
      is_upgrade_ = false;
      if (!said_end_) content({}, true);
    }
  } else {
    is_upgrade_ = message.field(":method") == "CONNECT";
    to_head_ = message.field(":method") == "HEAD";
    received_ += (is_upgrade_ ? "GET" : message.field(":method")) + " " + message.field(":path") +
                 " HTTP/1.1\r\nhost: " + message.field(":authority") + "\r\n" + lines_of(message.head);
    if (is_upgrade_) received_ += "connection: upgrade\r\nupgrade: websocket\r\n";
    has_content_ = !is_upgrade_ && !is_whole;
  }
  received_ += has_content_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n";
}

// Without those that HTTP/1.1 has elsewhere.
inline std::string H2Line::lines_of(const Headers& head) {
  std::string lines;
  for (const auto& [name, value] : head) {
    if (name == "connection" || name == "transfer-encoding" || name == "upgrade" || name == "keep-alive")
      fault_ = "a field of one connection: " + name;
    if (name == "content-length") length_ = value;
    if (!name.starts_with(':') && name != "content-length") lines += name + ": " + value + "\r\n";
  }
  return lines;
}

inline std::optional<std::string> H2Line::take(Headers& fields, std::string_view name) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& each) { return each.first == name; });
  if (found == fields.end()) return std::nullopt;
  std::string value = std::move(found->second);
  fields.erase(found);
  return value;
}

}  // namespace limpet::test
