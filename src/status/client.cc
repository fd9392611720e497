#include "src/status/client.h"

#include <netdb.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "src/http/parser.h"
#include "src/net/openssl.h"
#include "src/status/channel.h"

namespace limpet::status {

namespace {

constexpr http::HeadLimits kLimits{.head = 64 * 1024, .target = 64 * 1024, .fields = 100};

struct FreeAddresses {
  void operator()(addrinfo* found) const { freeaddrinfo(found); }
};

struct Collected final : http::BodySink {
  std::string body;
  void on_body(std::string_view piece) override { body.append(piece); }
  void on_body_end(const http::Fields&) override {}
};

// The answer that comes, or what is wrong with it.
std::variant<Client::Reply, std::string> read_reply(Channel& channel) {
  const std::string not_limpet = "what answers there is not Limpet's status endpoint";
  std::string in;
  size_t searched = 0;
  http::HeadSearch search;
  for (;;) {
    search = http::find_head(in, searched, kLimits);
    if (search.fault) return not_limpet;
    if (search.size != 0) break;
    const ssize_t got = channel.receive(in);
    if (got < 0) return std::string("no answer: ") + std::strerror(errno);
    if (got == 0 && in.empty())
      return std::string("the connection was closed without an answer") +
             (channel.is_tls() ? "" : " (where TLS is spoken, https:// or --ca FILE asks by it)");
    if (got == 0) return not_limpet;
  }
  const std::string head = in.substr(0, search.size);
  in.erase(0, search.size);
  http::Parser parser;
  http::ResponseHead parsed;
  if (parser.parse_response(head, kLimits, false, parsed)) return not_limpet;

  Collected collected;
  while (!parser.body_ended()) {
    http::Fault fault;
    parser.feed(in, collected, fault);
    in.clear();
    if (fault || collected.body.size() > Client::kMostBody) return not_limpet;
    if (parser.body_ended()) break;
    const ssize_t got = channel.receive(in);
    if (got < 0) return std::string("half an answer: ") + std::strerror(errno);
    if (got == 0 && !parser.end_of_stream(collected)) return "half an answer: the connection was closed";
  }
  return Client::Reply{parsed.status, std::move(collected.body)};
}

}  // namespace

Client::Client(conf::Address address, std::string token, std::string who, net::SharedTlsTrust trust)
    : address_(std::move(address)),
      token_(std::move(token)),
      who_(std::move(who)),
      trust_(std::move(trust)) {}

std::variant<Client::Reply, std::string> Client::send(std::string_view method,
                                                      const std::string& target) const {
  const std::string where = address_.text();
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error =
          getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(), &wanted, &raw))
    return "no address for " + where + ": " + gai_strerror(error);
  const std::unique_ptr<addrinfo, FreeAddresses> found(raw);

  std::string request = std::string(method) + " " + target + " HTTP/1.1\r\n";
  http::add_field(request, "Host", where);
  http::add_field(request, "Connection", "close");
  http::add_field(request, "Accept", "application/json");
  if (!token_.empty()) http::add_field(request, "Authorization", "Bearer " + token_);
  if (!who_.empty()) http::add_field(request, "X-Limpet", who_);
  request += "\r\n";

  std::string wrong;
  const auto connector = trust_ != nullptr ? net::TlsConnector::make(trust_, wrong) : nullptr;
  if (!wrong.empty()) return wrong;
  net::TlsSession session;  // of this one connection
  int error = 0;
  for (const addrinfo* to = found.get(); to != nullptr; to = to->ai_next) {
    const Socket socket(to->ai_family, Socket::Clock::now() + kPatience);
    if (socket.connect(to->ai_addr, to->ai_addrlen)) {
      net::SslPtr tls = connector != nullptr ? connector->connect(address_, session) : nullptr;
      if (connector != nullptr && tls == nullptr) return where + ": " + net::openssl_reason();
      Channel channel(socket, std::move(tls));
      if (wrong = channel.shake_hands(); !wrong.empty()) return where + ": " + wrong;
      if (!channel.send(request)) return where + ": " + std::strerror(errno);
      auto reply = read_reply(channel);
      if (auto* why = std::get_if<std::string>(&reply)) *why = where + ": " + *why;
      return reply;
    }
    error = errno;
  }
  if (error == ECONNREFUSED)
    return "nothing listens at " + where +
           ": is Limpet running there, and does its [status] say this address?";
  return where + ": " + std::strerror(error);
}

std::optional<Where> parse_where(std::string_view text, bool tls) {
  for (const auto& [scheme, is_tls] : {std::pair("http://", false), {"https://", true}}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(std::string_view(scheme).size());
    tls = is_tls;
    break;
  }
  if (text.ends_with('/')) text.remove_suffix(1);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  conf::Address address;
  address.port = whole_number<uint16_t>(text.substr(colon + 1)).value_or(0);
  if (address.port == 0) return std::nullopt;
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of(" /@[]\r\n") != std::string_view::npos) return std::nullopt;
  const bool is_ip = conf::IpAddress::parse(host).has_value();
  if (host.find(':') != std::string_view::npos && !(is_ip && in_brackets)) return std::nullopt;
  address.host = host;
  address.kind = is_ip ? conf::Address::Kind::ip : conf::Address::Kind::host;
  return Where{std::move(address), tls};
}

}  // namespace limpet::status
