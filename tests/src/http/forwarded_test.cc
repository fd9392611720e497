// Who is believed to be the client, and what a backend is told of it.
#include "src/http/forwarded.h"

#include "tests/src/http/messages.h"

namespace limpet::http::forwarded_test {

using namespace limpet::test;
using conf::ForwardedStyle;
using http::FieldName;

conf::Listener listener_of(ForwardedStyle style) {
  conf::Listener listener;
  listener.forwarded = style;
  for (const char* block : {"10.0.0.0/8", "2001:db8:1::/48"})
    listener.trusted_proxies.push_back(conf::Cidr::parse(block).value());
  return listener;
}

http::Peer peer_of(const conf::Listener& listener, std::string_view address) {
  const conf::IpAddress ip = conf::IpAddress::parse(address).value();
  return {ip, std::string(address), http::is_trusted(listener, ip)};
}

http::Fields fields_of(Lines lines) {
  http::Fields fields;
  for (const std::string_view line : lines) {
    const size_t colon = line.find(':');
    fields.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return fields;
}

std::string client(ForwardedStyle style, Lines lines, std::string_view peer = "10.0.0.1") {
  const conf::Listener listener = listener_of(style);
  return http::believed_client(peer_of(listener, peer), listener, fields_of(lines)).text();
}
std::string by_x(std::string_view chain) {
  return client(ForwardedStyle::x_forwarded, {"X-Forwarded-For: " + std::string(chain)});
}
std::string by_forwarded(std::string_view elements) {
  return client(ForwardedStyle::forwarded, {"Forwarded: " + std::string(elements)});
}

// The field lines that are written for a request of a.example:80.
std::string written(ForwardedStyle style, std::string_view peer, Lines lines,
                    std::string_view host = "a.example:80") {
  const conf::Listener listener = listener_of(style);
  http::RequestHead request;
  request.host = host;
  request.fields = fields_of(lines);
  std::string out(10'000, '\0');
  http::Cursor cursor(out.data());
  http::write_forwarded(peer_of(listener, peer), listener, request, cursor);
  out.resize(static_cast<size_t>(cursor.at() - out.data()));
  return out;
}

TEST_CASE("an address is trusted when one of the listener's blocks holds it") {
  const conf::Listener listener = listener_of(ForwardedStyle::both);
  for (const char* address : {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "2001:db8:1::9"})
    CHECK(peer_of(listener, address).trusted);
  for (const char* address : {"11.0.0.0", "9.255.255.255", "::10.1.2.3", "2001:db8:2::9", "::"})
    CHECK_FALSE(peer_of(listener, address).trusted);
}

TEST_CASE("the client is the right-most address that is no trusted proxy") {
  CHECK(by_x("1.2.3.4") == "1.2.3.4");
  CHECK(by_x("6.6.6.6, 1.2.3.4 ,10.0.0.9,10.1.1.1") == "1.2.3.4");
  CHECK(by_x("10.0.0.8, 10.0.0.9") == "10.0.0.8");
  CHECK(by_x("2001:db8::7, 2001:db8:1::2") == "2001:db8::7");
  CHECK(by_x("") == "10.0.0.1");
}

TEST_CASE("several lines are one list") {
  CHECK(client(ForwardedStyle::x_forwarded,
               {"X-Forwarded-For: 6.6.6.6", "X: y", "x-forwarded-for: 1.2.3.4, 10.0.0.9",
                "X-Forwarded-For: 10.0.0.8"}) == "1.2.3.4");
}

TEST_CASE("an address may have a port, and IPv6 brackets") {
  for (const std::string_view node : {"1.2.3.4:80", "1.2.3.4:_x"}) CHECK(by_x(node) == "1.2.3.4");
  for (const std::string_view node : {"[2001:db8::7]", "[2001:db8::7]:80", "2001:DB8:0::7"})
    CHECK(by_x(node) == "2001:db8::7");
}

TEST_CASE("beyond what is no address nobody is believed") {
  for (const std::string_view broken : {"unknown", "_hidden", "", "1.2.3", "1.2.3.4.5", "[2001:db8::7", "[]",
                                        "example.com", "1.2.3.4 5.6.7.8", "\"1.2.3.4"}) {
    CAPTURE(broken);
    CHECK(by_x("6.6.6.6, " + std::string(broken)) == "10.0.0.1");
    CHECK(by_x("6.6.6.6, " + std::string(broken) + ", 10.0.0.9") == "10.0.0.9");
  }
}

TEST_CASE("an untrusted peer is itself, whatever it says") {
  for (const ForwardedStyle style :
       {ForwardedStyle::x_forwarded, ForwardedStyle::forwarded, ForwardedStyle::both, ForwardedStyle::none})
    CHECK(client(style, {"X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4"}, "192.0.2.1") == "192.0.2.1");
}

TEST_CASE("the field that the listener writes is the one that is read") {
  const Lines both{"Forwarded: for=5.5.5.5", "X-Forwarded-For: 1.2.3.4"};
  CHECK(client(ForwardedStyle::x_forwarded, both) == "1.2.3.4");
  CHECK(client(ForwardedStyle::both, both) == "1.2.3.4");
  CHECK(client(ForwardedStyle::none, both) == "1.2.3.4");
  CHECK(client(ForwardedStyle::forwarded, both) == "5.5.5.5");
  CHECK(client(ForwardedStyle::none, {"Forwarded: for=5.5.5.5"}) == "5.5.5.5");
  CHECK(client(ForwardedStyle::x_forwarded, {"Forwarded: for=5.5.5.5"}) == "10.0.0.1");
}

TEST_CASE("an element of Forwarded is understood with its quotes and other parameters") {
  for (const std::string_view element :
       {"for=1.2.3.4", "For=\"1.2.3.4\"", "for=\"1.2.3.4:80\"", "proto=http; FOR=1.2.3.4 ;by=10.0.0.1"}) {
    CAPTURE(element);
    CHECK(by_forwarded(element) == "1.2.3.4");
  }
  CHECK(by_forwarded("for=\"[2001:db8::7]:80\";proto=https") == "2001:db8::7");
  CHECK(by_forwarded("for=6.6.6.6, for=1.2.3.4, for=10.0.0.9;by=x") == "1.2.3.4");
  for (const std::string_view broken : {"for=unknown", "for=_x", "for=", "for", "proto=http", "", "for=\"",
                                        "xfor=1.2.3.4", "for=\"1.2.3.4"}) {
    CAPTURE(broken);
    CHECK(by_forwarded("for=6.6.6.6, " + std::string(broken)) == "10.0.0.1");
  }
}

TEST_CASE("what stands in a quoted string of Forwarded is neither an element nor a parameter") {
  CHECK(by_forwarded("for=1.2.3.4;host=\"x, for=6.6.6.6\"") == "1.2.3.4");
  CHECK(by_forwarded("host=\"x;for=6.6.6.6;y\";for=1.2.3.4") == "1.2.3.4");
  CHECK(by_forwarded("for=1.2.3.4;host=\"\\\", for=6.6.6.6\"") == "1.2.3.4");
}

TEST_CASE("a quote that a client leaves open does not reach into what a trusted proxy added") {
  CHECK(by_forwarded("for=\"6.6.6.6, for=1.2.3.4") == "1.2.3.4");
  CHECK(by_forwarded("\", for=1.2.3.4;host=\"a:80\"") == "1.2.3.4");
  CHECK(by_forwarded("x=\"\\, for=1.2.3.4") == "1.2.3.4");
}

TEST_CASE("a backend is told the peer, the scheme and the host") {
  CHECK(written(ForwardedStyle::x_forwarded, "192.0.2.1", {}) ==
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example:80\r\n");
  CHECK(written(ForwardedStyle::forwarded, "192.0.2.1", {}) ==
        "Forwarded: for=192.0.2.1;host=\"a.example:80\";proto=http\r\n");
  CHECK(written(ForwardedStyle::forwarded, "2001:db8::1", {}, "b") ==
        "Forwarded: for=\"[2001:db8::1]\";host=b;proto=http\r\n");
  CHECK(written(ForwardedStyle::both, "192.0.2.1", {}) ==
        written(ForwardedStyle::x_forwarded, "192.0.2.1", {}) +
            written(ForwardedStyle::forwarded, "192.0.2.1", {}));
  CHECK(written(ForwardedStyle::none, "192.0.2.1", {}) == "");
  CHECK(written(ForwardedStyle::both, "192.0.2.1", {}, "") ==
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nForwarded: for=192.0.2.1;proto=http\r\n");
}

TEST_CASE("what a trusted proxy said is continued, what another peer said is not") {
  const Lines said{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-For:",    "X-Forwarded-For: 2.2.2.2, 3.3.3.3",
                   "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "Forwarded: for=1.1.1.1"};
  CHECK(written(ForwardedStyle::both, "10.0.0.1", said) ==
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1\r\nX-Forwarded-Proto: "
        "https\r\nX-Forwarded-Host: b\r\n"
        "Forwarded: for=1.1.1.1, for=10.0.0.1;host=\"a.example:80\";proto=http\r\n");
  CHECK(written(ForwardedStyle::both, "192.0.2.1", said) == written(ForwardedStyle::both, "192.0.2.1", {}));
}

TEST_CASE("a peer without an address is told as unknown, where that can be said") {
  const conf::Listener listener = listener_of(ForwardedStyle::both);
  std::string out(1000, '\0');
  http::Cursor cursor(out.data());
  http::write_forwarded({}, listener, http::RequestHead{}, cursor);
  out.resize(static_cast<size_t>(cursor.at() - out.data()));
  CHECK(out == "X-Forwarded-Proto: http\r\nForwarded: for=unknown;proto=http\r\n");
}

TEST_CASE("an untrusted peer may say nothing about itself; a trusted one what the listener does not say") {
  const auto dropped = [](ForwardedStyle style, std::string_view peer, FieldName name) {
    const conf::Listener listener = listener_of(style);
    return http::forwarded_to_drop(peer_of(listener, peer), listener).contains(name);
  };
  for (const FieldName name : {FieldName::forwarded, FieldName::x_forwarded_for, FieldName::x_forwarded_host,
                               FieldName::x_forwarded_proto, FieldName::x_forwarded_other}) {
    CHECK(dropped(ForwardedStyle::none, "192.0.2.1", name));
    CHECK_FALSE(dropped(ForwardedStyle::none, "10.0.0.1", name));
  }
  CHECK(dropped(ForwardedStyle::x_forwarded, "10.0.0.1", FieldName::x_forwarded_for));
  CHECK_FALSE(dropped(ForwardedStyle::x_forwarded, "10.0.0.1", FieldName::forwarded));
  CHECK(dropped(ForwardedStyle::forwarded, "10.0.0.1", FieldName::forwarded));
  CHECK_FALSE(dropped(ForwardedStyle::forwarded, "10.0.0.1", FieldName::x_forwarded_for));
  CHECK_FALSE(dropped(ForwardedStyle::both, "10.0.0.1", FieldName::x_forwarded_other));
}

}  // namespace limpet::http::forwarded_test
