// What must hold of the parser and the writers for any message at all: where its bytes are split makes no
// difference, and what is accepted leaves as one message that a strict reader understands in the same way.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "src/http/chunk.h"
#include "src/http/parser.h"
#include "src/http/rewrite.h"
#include "tests/support/choices.h"
#include "tests/support/gathered.h"
#include "tests/support/message_reader.h"

namespace limpet::test {

inline constexpr http::HeadLimits kTightLimits{.head = 600, .target = 100, .fields = 12};
inline constexpr http::HeadLimits kWideLimits{.head = 100'000, .target = 100'000, .fields = 1000};

// A message as the parser understood it.
struct Understood : http::BodySink {
  http::Fault fault;
  bool has_head = false;
  bool ended = false;
  std::string head;
  http::RequestHead request;    // for a request; views into `head`
  http::ResponseHead response;  // for a response
  std::string body;
  std::string trailers;
  size_t size = 0;  // of what was accepted: the head, and what followed it before anything was wrong

  void on_body(std::string_view piece) override { body.append(piece); }
  void on_body_end(const http::Fields& fields) override {
    ended = true;
    for (const http::Field& field : fields.list)
      trailers.append(field.name).append("=").append(field.value).append("\n");
  }

  bool operator==(const Understood& other) const {
    return fault.status == other.fault.status && has_head == other.has_head && ended == other.ended &&
           head == other.head && body == other.body && trailers == other.trailers &&
           (size == other.size || fault) && request.method == other.request.method &&
           request.target == other.request.target && request.host == other.request.host &&
           request.body.kind == other.request.body.kind && response.body.kind == other.response.body.kind;
  }
};

enum class MessageSide : uint8_t { request, response, response_to_head };

// Reads a message that comes in these pieces, as a connection does.
inline void understand(const std::vector<std::string_view>& pieces, MessageSide side,
                       const http::HeadLimits& limits, Understood& out) {
  http::Parser parser;
  std::string waiting;
  size_t searched = 0;
  for (const std::string_view piece : pieces) {
    std::string_view rest = piece;
    if (!out.has_head) {
      waiting.append(piece);
      const http::HeadSearch search = http::find_head(waiting, searched, limits);
      out.fault = search.fault;
      if (out.fault) return;
      if (search.size == 0) continue;
      out.has_head = true;
      out.head = waiting.substr(0, search.size);
      out.fault =
          side == MessageSide::request
              ? parser.parse_request(out.head, limits, out.request)
              : parser.parse_response(out.head, limits, side == MessageSide::response_to_head, out.response);
      if (out.fault) return;
      out.size = search.size;
      out.ended = parser.body_ended();
      rest.remove_prefix(piece.size() - (waiting.size() - search.size));
    }
    while (!rest.empty() && !out.ended) {
      const size_t taken = parser.feed(rest, out, out.fault);
      if (out.fault) return;
      out.size += taken;
      rest.remove_prefix(taken);
    }
    if (out.ended) return;
  }
  if (out.has_head) parser.end_of_stream(out);
}

class MessageCheck {
 public:
  // Makes a message and pieces of it out of `bytes`; what is wrong with how it is understood, or nothing.
  static std::string check(std::span<const uint8_t> bytes) { return MessageCheck(bytes).run(); }

 private:
  static constexpr std::array<std::string_view, 64> kBits{
      "GET / HTTP/1.1\r\nHost: a\r\n",
      "POST /p?q HTTP/1.1\r\nHost: a.example:80\r\n",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.0 404 Not Found\r\n",
      "PUT http://b/x HTTP/1.1\r\nHost: a\r\n",
      "OPTIONS * HTTP/1.1\r\nHost:\r\n",
      "HEAD /h HTTP/1.0\r\n",
      "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n",
      "HTTP/1.1 101 Switching\r\n",
      "HTTP/1.1 204 None\r\n",
      "HTTP/1.1 304 Same\r\n",
      "HTTP/1.1 103 Hints\r\n",
      "Content-Length: 5\r\n",
      "Content-Length: 0\r\n",
      "content-length: 5, 5\r\n",
      "Content-Length: +5\r\n",
      "Content-Length : 5\r\n",
      "Transfer-Encoding: chunked\r\n",
      "transfer-encoding: Chunked\r\n",
      "Transfer-Encoding: gzip, chunked\r\n",
      "Transfer-Encoding: chunked, chunked\r\n",
      "Transfer-Encoding:\r\n",
      "Transfer-Encoding: identity\r\n",
      "Transfer-Encoding: x\r\n chunked\r\n",
      "Connection: close\r\n",
      "Connection: keep-alive, X-Hop\r\n",
      "Connection: upgrade, content-length\r\n",
      "Connection: transfer-encoding, host\r\n",
      "Upgrade: websocket\r\n",
      "Upgrade: h2c\r\n",
      "Expect: 100-continue\r\n",
      "Expect: miracles\r\n",
      "TE: trailers, deflate\r\n",
      "X-Hop: y\r\n",
      "Host: b\r\n",
      "Host: a b\r\n",
      "Cookie: limpet_shop=x; a=b;c=d\r\n",
      "Cookie: limpet_shop=only\r\n",
      "Set-Cookie: a=b\r\n",
      "Cache-Control: public, max-age=5, s-maxage=9\r\n",
      "X-Forwarded-For: 192.0.2.1, unknown\r\n",
      "Forwarded: for=\"[2001:db8::1]\";proto=http, for=_x\r\n",
      "X-Forwarded-Host: h\r\n",
      "X-Request-Id: abc\r\n",
      "Max-Forwards: 3\r\n",
      "Date: now\r\n",
      "Via: 1.1 other\r\n",
      ": nameless\r\n",
      "\r\n",
      "\r\n\r\n",
      "\n",
      "\r",
      " ",
      "hello",
      "5\r\nhello\r\n",
      "0\r\n\r\n",
      "0\r\nX-T: v\r\nContent-Length: 9\r\n\r\n",
      "5;e=\"v\"\r\nhello\r\n",
      "5\r\nhellooo\r\n",
      "00\r\n",
      "0\r\n X: y\r\n\r\n",
      "FFFFFFFFFFFFFFFF\r\n",
      "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
      "Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nHTTP2-Settings: AAA\r\n"};

  explicit MessageCheck(std::span<const uint8_t> bytes) : choices_(bytes) {
    side_ = static_cast<MessageSide>(choices_.below(3));
    limits_ = choices_.one_in(4) ? kTightLimits : kWideLimits;
    style_ = static_cast<conf::ForwardedStyle>(choices_.below(4));
    trusted_ = choices_.flip();
    http_1_0_client_ = choices_.one_in(4);
    for (size_t& cut : cuts_) cut = choices_.below(256);
    message_ = choices_.rest_with(kBits);
  }

  std::string run() {
    Understood whole;
    understand({message_}, side_, limits_, whole);
    Understood pieces;
    understand(cut(), side_, limits_, pieces);
    if (!(whole == pieces)) return "a split makes a difference";
    Understood octets;
    understand(single(), side_, limits_, octets);
    if (!(whole == octets)) return "octet by octet makes a difference";
    if (whole.size == 0) return {};  // no head that was accepted
    if (!has_clean_lines(whole.head)) return "a head with a bare CR or LF, or a NUL, was accepted";
    return side_ == MessageSide::request ? check_request(whole) : check_response(whole);
  }

  std::vector<std::string_view> cut() const {
    std::vector<std::string_view> pieces;
    std::string_view rest = message_;
    for (const size_t size : cuts_) {
      pieces.push_back(rest.substr(0, size));
      rest.remove_prefix(std::min(size, rest.size()));
    }
    pieces.push_back(rest);
    return pieces;
  }
  std::vector<std::string_view> single() const {
    std::vector<std::string_view> pieces;
    for (size_t i = 0; i < message_.size(); ++i) pieces.push_back(std::string_view(message_).substr(i, 1));
    return pieces;
  }

  static bool has_clean_lines(std::string_view head) {
    for (size_t i = 0; i < head.size(); ++i) {
      if (head[i] == '\0') return false;
      if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return false;
      if (head[i] == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) return false;
    }
    return true;
  }

  // The body as the connections write it.
  static void put_body(bool chunked, const Understood& whole, net::Gather& out) {
    if (!chunked) return out.bytes(whole.body);
    http::write_chunk(whole.body, out);
    if (whole.ended) out.text("0\r\n\r\n");
  }

  std::string check_request(const Understood& whole) {
    const http::RequestHead& request = whole.request;
    conf::Listener listener;
    listener.forwarded = style_;
    const http::Peer peer{conf::IpAddress::parse("2001:db8::7").value(), "2001:db8::7", trusted_};
    net::Gather gather;
    http::write_request(request,
                        {.via = "limpet",
                         .request_id = "id",
                         .hidden_cookie = "limpet_shop",
                         .backend = "backend:1",
                         .peer = peer,
                         .listener = listener},
                        gather);
    const std::string head = text_of(gather);
    put_body(request.body.kind == http::BodyKind::chunked, whole, gather);
    const std::string text = text_of(gather);

    Understood again;
    understand({text}, side_, kWideLimits, again);
    if (again.fault && !whole.fault) return "what left is not accepted: " + std::string(again.fault.what);
    if (!again.has_head) return "what left has no whole head";
    if (again.head != head) return "what left has another head";
    const std::string target(request.target);
    const std::string sent = target.starts_with('?') ? "/" + target : target;
    if (again.request.method != request.method || again.request.target != sent)
      return "what left asks for something else";
    const bool names_none = !request.absolute_form && !request.fields.has(http::FieldName::host);
    if (again.request.host != (names_none ? "backend:1" : request.host))
      return "what left is for another host";
    if (again.request.body.kind != request.body.kind || again.request.body.length != request.body.length)
      return "what left is framed differently";
    if (again.body != whole.body || again.ended != whole.ended) return "what left has another body";
    if (text.find("limpet_shop=") != std::string::npos &&
        head.find("\r\nCookie: limpet_shop=") != std::string::npos)
      return "the pool's own cookie got through";
    return check_by_reader(text, whole, MessageReader::Side::requests);
  }

  std::string check_response(const Understood& whole) {
    const http::ResponseHead& response = whole.response;
    const bool unbounded =
        response.body.kind == http::BodyKind::until_close || response.body.kind == http::BodyKind::chunked;
    const bool chunked = unbounded && !http_1_0_client_;
    net::Gather gather;
    http::write_response(response,
                         {.via = "limpet",
                          .date = "today",
                          .set_cookie = trusted_ ? "limpet_shop=x; Path=/" : "",
                          .chunked = chunked,
                          .close = !chunked},
                         gather);
    put_body(chunked, whole, gather);
    const std::string text = text_of(gather);
    return check_by_reader(text, whole, MessageReader::Side::responses);
  }

  std::string check_by_reader(const std::string& text, const Understood& whole,
                              MessageReader::Side side) const {
    MessageReader reader(side);
    reader.expect_answer(side_ == MessageSide::response_to_head);
    reader.feed(text);
    if (!reader.fault.empty()) return "a strict reader finds " + reader.fault;
    if (reader.interim == 1) return {};
    if (reader.messages.size() != 1) return "a strict reader finds no message, or two";
    const MessageReader::Message& message = reader.messages.front();
    if (message.body_size != whole.body.size()) return "a strict reader finds another body";
    if (!message.until_end && message.complete != whole.ended) return "a strict reader finds another end";
    return {};
  }

  Choices choices_;
  MessageSide side_;
  http::HeadLimits limits_;
  conf::ForwardedStyle style_;
  bool trusted_;
  bool http_1_0_client_;
  std::array<size_t, 4> cuts_;
  std::string message_;
};

}  // namespace limpet::test
