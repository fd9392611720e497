// The two ends of a proxy for exchange_script.h: clients that know what they asked, backends that know what
// they answered, and both check what reaches them. Over HTTP/2 each is one stream's.
//
// Every request of a client carries its tag, "~client.number", and every byte of its body, and of the
// answer's body, is the client's own letter, beyond ASCII, where nothing else is. So bytes that go astray
// show.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/line.h"
#include "tests/support/message_reader.h"

namespace limpet::test {

// What is known about one tagged request, whoever has seen it.
struct Tagged {
  struct Sent {
    const Line* backend;
    size_t heard_before;  // how much of this backend had been read when the request reached it
  };
  struct Answer {
    size_t size = 0;
    bool complete = false;
    bool spoiled = false;  // the backend said something else in between
  };
  const FakeStream* client = nullptr;  // its connection
  bool idempotent = true;
  size_t body_size = 0;
  bool body_complete = false;
  bool body_spoiled = false;
  std::vector<Sent> sent;
  std::vector<Answer> answers;
};
using TaggedRequests = std::map<std::string, Tagged>;

inline char letter_of(size_t client) { return static_cast<char>(0x80 + client % 0x80); }
inline char letter_of(const std::string& tag) {
  return tag.empty() ? 'x' : letter_of(std::stoul(tag.substr(1)));
}

class ClientPeer {
 public:
  enum class Framing : uint8_t { none, length, chunked };
  struct Ask {
    std::string_view method = "GET";
    Framing framing = Framing::none;
    size_t length = 0;
    bool http_1_0 = false;
    bool upgrade = false;
    std::string_view target = {};  // empty: its tag
    std::string_view fields = {};  // further ones, each with its CRLF
  };

  ClientPeer(size_t id, Line& its_line, TaggedRequests& tagged)
      : line(its_line), stream(its_line.stream), id_(id), tagged_(tagged) {}

  Line& line;
  FakeStream& stream;
  bool sound = true;           // it has said nothing but whole requests, so all can be checked
  bool may_have_gone = false;  // it ended, or reset, or let its time pass
  MessageReader reader{MessageReader::Side::responses};

  size_t id() const { return id_; }
  size_t asked() const { return tags_.size(); }
  size_t answered() const { return reader.messages.size() - (has_open_answer() ? 1 : 0); }
  bool in_body() const { return framing_ != Framing::none; }
  bool awaits_upgrade() const { return asked_upgrade_ && !reader.tunnel && answered() < asked(); }

  void ask(const Ask& what) {
    const std::string tag = "~" + std::to_string(id_) + "." + std::to_string(tags_.size());
    tags_.push_back(tag);
    Tagged& request = tagged_[tag];
    request.client = &stream;
    request.idempotent = what.method != "POST";
    request.body_complete =
        what.framing == Framing::none || (what.framing == Framing::length && what.length == 0);
    std::string head(what.method);
    head.append(" ")
        .append(what.target.empty() ? "/" + tag : what.target)
        .append(what.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    head.append("Host: a\r\nX-Tag: ").append(tag).append("\r\n");
    if (!cookies_.empty()) {
      head.append("Cookie: ");
      for (const auto& [name, value] : cookies_) head.append(name).append("=").append(value).append("; ");
      head.append("\r\n");
    }
    if (what.framing == Framing::length)
      head.append("Content-Length: " + std::to_string(what.length) + "\r\n");
    if (what.framing == Framing::chunked) head.append("Transfer-Encoding: chunked\r\n");
    if (what.upgrade) head.append("Connection: upgrade\r\nUpgrade: websocket\r\n");
    head.append(what.fields).append("\r\n");
    line.say(head);
    asked_upgrade_ = asked_upgrade_ || what.upgrade;
    reader.expect_answer(what.method == "HEAD");
    if (request.body_complete) return;
    framing_ = what.framing;
    left_ = what.length;
  }

  // A piece of the request's body; none ends a chunked one.
  void say_body(size_t size, bool trailers = false) {
    Tagged& request = tagged_[tags_.back()];
    if (framing_ == Framing::length) size = std::min(size, left_);
    request.body_size += size;
    const std::string piece(size, letter_of(id_));
    if (framing_ == Framing::length) {
      line.say(piece);
      left_ -= size;
      request.body_complete = left_ == 0;
    } else if (size != 0) {
      char head[24];
      std::snprintf(head, sizeof head, "%zx\r\n", size);
      line.say(head + piece + "\r\n");
    } else {
      line.say(trailers ? "0\r\nX-Trailer: t\r\n\r\n" : "0\r\n\r\n");
      request.body_complete = true;
    }
    if (request.body_complete) framing_ = Framing::none;
  }

  void say_tunnel(size_t size) { line.say(std::string(size, letter_of(id_))); }

  // It says whatever: from now on what this client said cannot be told from outside.
  void spoil() {
    sound = false;
    if (!tags_.empty()) tagged_[tags_.back()].body_spoiled = true;
  }
  void keep_cookies_of(const ClientPeer& other) { cookies_ = other.cookies_; }

  // Reads what has come; what is wrong with it, or nothing.
  std::string check() {
    const std::string_view fresh = std::string_view(line.received()).substr(seen_);
    seen_ = line.received().size();
    for (const char c : fresh) {
      if ((c & 0x80) != 0 && c != letter_of(id_)) return "a client got what is another's";
    }
    if (!sound) return {};
    reader.feed(fresh);
    if (line.has_ended_in_order()) reader.end();
    if (!line.fault().empty()) return "a client got " + line.fault();
    if (!reader.fault.empty()) return "a client got " + reader.fault;
    for (; begun_ < reader.messages.size(); ++begun_) {
      const MessageReader::Message& message = reader.messages[begun_];
      const std::string tag = message.field("x-tag");
      if (!tag.empty() && tag != tags_[begun_])
        return "a client got the answer to " + tag + " for " + tags_[begun_];
      keep_cookies(message);
    }
    for (; complete_ < reader.messages.size() && reader.messages[complete_].complete; ++complete_) {
      const MessageReader::Message& message = reader.messages[complete_];
      if (message.field("x-tag").empty() || message.word(1) == "101") continue;
      if (!was_said(tagged_[tags_[complete_]], message)) return "an answer looks whole and is not";
    }
    return {};
  }

 private:
  bool has_open_answer() const { return !reader.messages.empty() && !reader.messages.back().complete; }

  static bool was_said(const Tagged& request, const MessageReader::Message& message) {
    for (const Tagged::Answer& answer : request.answers) {
      if (answer.spoiled || (answer.complete && answer.size == message.body_size)) return true;
    }
    return false;
  }

  void keep_cookies(const MessageReader::Message& message) {
    for (const auto& [name, value] : message.fields) {
      if (name != "set-cookie") continue;
      const size_t equals = value.find('=');
      if (equals != std::string::npos)
        cookies_[value.substr(0, equals)] = value.substr(equals + 1, value.find(';') - equals - 1);
    }
  }

  const size_t id_;
  TaggedRequests& tagged_;
  std::vector<std::string> tags_;
  std::map<std::string, std::string> cookies_;
  Framing framing_ = Framing::none;  // of the body that is being said
  size_t left_ = 0;
  size_t seen_ = 0;      // bytes received and checked
  size_t begun_ = 0;     // answers whose head was checked
  size_t complete_ = 0;  // answers whose end was checked
  bool asked_upgrade_ = false;
};

class BackendPeer {
 public:
  enum class Framing : uint8_t { length, chunked, until_end };
  struct Answer {
    int status = 200;
    Framing framing = Framing::length;
    size_t length = 0;
    bool http_1_0 = false;
    std::string_view fields = {};
  };

  // `hears_who`: the connection begins with a header of the PROXY protocol's first version.
  BackendPeer(Line& its_line, TaggedRequests& tagged, bool hears_who)
      : line(its_line),
        stream(its_line.stream),
        tagged_(tagged),
        awaits_header_(hears_who),
        serves_one_(hears_who) {}

  Line& line;
  FakeStream& stream;
  bool sound = true;  // it has said nothing but whole answers
  bool ended = false;
  MessageReader reader{MessageReader::Side::requests};

  bool can_answer() const {
    return sound && !ended && !answering_ && !tunnel_ && answered_ < reader.messages.size();
  }
  bool answering() const { return answering_ && sound && !ended; }
  bool tunnel() const { return tunnel_ && sound && !ended; }
  bool asked_to_upgrade() const {
    return can_answer() && !reader.messages[answered_].field("upgrade").empty();
  }

  void say_interim(std::string_view status) {
    line.say("HTTP/1.1 " + std::string(status) + "\r\nX-Tag: " + tag() + "\r\n\r\n");
  }

  void answer(const Answer& what) {
    const std::string tag = this->tag();
    const bool bodiless = what.status == 204 || what.status == 304 || request().word(0) == "HEAD";
    std::string head =
        (what.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ") + std::to_string(what.status) + " Said\r\n";
    head.append("X-Tag: ").append(tag).append("\r\n").append(what.fields);
    if (what.framing == Framing::length)
      head.append("Content-Length: " + std::to_string(what.length) + "\r\n");
    if (what.framing == Framing::chunked) head.append("Transfer-Encoding: chunked\r\n");
    line.say(head + "\r\n");
    said_ = answers().size();
    answers().push_back({});
    answering_ = true;
    framing_ = what.framing;
    left_ = bodiless ? 0 : what.length;
    if (bodiless || (framing_ == Framing::length && left_ == 0)) finish_answer();
  }

  void switch_protocols() {
    line.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Tag: " +
             tag() + "\r\n\r\n");
    tunnel_ = true;
    letter_ = letter_of(tag());
  }

  // A piece of the answer's body; none ends a chunked one, or one that the connection's end ends.
  void say_body(size_t size, bool trailers = false) {
    if (framing_ == Framing::length) size = std::min(size, left_);
    answers()[said_].size += size;
    const std::string piece(size, letter_of(tag()));
    if (framing_ == Framing::length) {
      line.say(piece);
      left_ -= size;
      if (left_ == 0) finish_answer();
    } else if (size != 0 && framing_ == Framing::chunked) {
      char head[24];
      std::snprintf(head, sizeof head, "%zX;e=1\r\n", size);
      line.say(head + piece + "\r\n");
    } else if (size != 0) {
      line.say(piece);
    } else if (framing_ == Framing::chunked) {
      line.say(trailers ? "0\r\nX-Trailer: t\r\n\r\n" : "0\r\n\r\n");
      finish_answer();
    } else {
      end();
    }
  }

  void say_tunnel(size_t size) { line.say(std::string(size, letter_)); }

  void spoil() {
    sound = false;
    for (Tagged::Answer& answer : answers()) answer.spoiled = true;
  }

  void end() {
    if (answering() && framing_ == Framing::until_end) finish_answer();
    ended = true;
    line.end();
  }
  void abort() {
    ended = true;
    line.abort();
  }

  std::string check() {
    std::string_view fresh = std::string_view(line.received()).substr(seen_);
    if (awaits_header_ && !fresh.empty()) {
      const size_t end = fresh.find("\r\n");
      if (end == fresh.npos) return fresh.size() > 107 ? "a backend is not told whose it is" : "";
      if (!fresh.starts_with("PROXY TCP") && !fresh.starts_with("PROXY UNKNOWN\r\n"))
        return "a backend is not told whose it is";
      fresh.remove_prefix(end + 2);
      awaits_header_ = false;
    }
    seen_ = line.received().size();
    reader.tunnel = tunnel_;
    reader.feed(fresh);
    if (!line.fault().empty()) return "a backend got " + line.fault();
    if (!reader.fault.empty()) return "a backend got " + reader.fault;
    for (; begun_ < reader.messages.size(); ++begun_) {
      if (sound && begun_ > answered_) return "a backend got a request before its last answer";
      const std::string wrong = check_request(reader.messages[begun_]);
      if (!wrong.empty()) return wrong;
    }
    for (; complete_ < reader.messages.size() && reader.messages[complete_].complete; ++complete_) {
      const Tagged& request = tagged_[reader.messages[complete_].field("x-tag")];
      if (request.sent.empty() || request.body_spoiled) continue;
      if (!request.body_complete || request.body_size != reader.messages[complete_].body_size)
        return "a request looks whole and is not";
    }
    return check_letters(fresh);
  }

 private:
  const MessageReader::Message& request() const { return reader.messages[answered_]; }
  std::string tag() const { return answered_ < reader.messages.size() ? request().field("x-tag") : ""; }
  std::vector<Tagged::Answer>& answers() { return tagged_[tag()].answers; }

  void finish_answer() {
    answers()[said_].complete = true;
    answering_ = false;
    ++answered_;
  }

  std::string check_request(const MessageReader::Message& message) {
    const std::string tag = message.field("x-tag");
    if (!message.field("early-data").empty() && !may_be_a_copy(message))
      return "a request that must not be repeated came early";
    if (tag.empty()) return {};  // of a client that said anything
    Tagged& request = tagged_[tag];
    if (serves_one_ && client_ == nullptr) client_ = request.client;
    if (serves_one_ && client_ != request.client) return "a client's own connection served another";
    for (const Tagged::Sent& before : request.sent) {
      if (before.backend == &line) return "a backend got a request twice";
      if (!request.idempotent && !before.backend->is_disowned())
        return "a request that must not be repeated was";
      if (before.backend->heard() > before.heard_before)
        return "a request was repeated after it was answered";
    }
    request.sent.push_back({&line, line.heard()});
    return {};
  }

  static bool may_be_a_copy(const MessageReader::Message& message) {
    const std::string method = message.word(0);
    const std::string length = message.field("content-length");
    return (method == "GET" || method == "HEAD" || method == "OPTIONS") && message.field("upgrade").empty() &&
           (length.empty() || length == "0") && message.field("transfer-encoding").empty();
  }
  // Bodies and tunnels are of the client whose request it is.
  std::string check_letters(std::string_view fresh) const {
    if (begun_ == 0) return {};
    const std::string tag = reader.messages[begun_ - 1].field("x-tag");
    const auto first = std::find_if(fresh.begin(), fresh.end(), [](char c) { return (c & 0x80) != 0; });
    if (first == fresh.end()) return {};
    const char letter = letter_of(tag);
    for (const char c : fresh) {
      if ((c & 0x80) != 0 && c != letter) return "a backend got another client's bytes";
    }
    return {};
  }

  TaggedRequests& tagged_;
  Framing framing_ = Framing::length;
  size_t left_ = 0;
  size_t seen_ = 0;
  size_t begun_ = 0;
  size_t complete_ = 0;
  size_t answered_ = 0;  // requests whose answer has been said
  size_t said_ = 0;      // which of answers() is being said
  char letter_ = 'x';    // of the tunnel
  bool answering_ = false;
  bool tunnel_ = false;
  bool awaits_header_;
  const bool serves_one_;               // client's requests alone
  const FakeStream* client_ = nullptr;  // whose these are
};

}  // namespace limpet::test
