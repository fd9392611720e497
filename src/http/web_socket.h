// What a balancer sees of a WebSocket inside a tunnel: whether it was closed, or ended (RFC 6455).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace limpet::http {

// What a server proves by that it has read the key (section 4.2.2).
std::string web_socket_accept(std::string_view key);

// The frames that one side sends (section 5.2), read as far as to know a Close frame.
class WebSocketFrames {
 public:
  enum class From : uint8_t { client, server };  // a client's are masked
  explicit WebSocketFrames(From from) : from_(from) {}

  void feed(std::string_view bytes);
  bool closed() const { return place_ == Place::closed; }  // a Close frame came, behind which nothing counts
  bool readable() const { return place_ != Place::lost; }  // false: this is no WebSocket

 private:
  enum class Place : uint8_t { opcode, size, long_size, payload, closed, lost };
  Place step(uint8_t octet);
  Place begin_payload(uint64_t size);

  From from_;
  Place place_ = Place::opcode;  // where the next octet stands
  bool is_control_ = false;
  uint8_t size_left_ = 0;      // octets of a long size
  uint64_t payload_left_ = 0;  // with its mask
};

// Both sides of one.
class WebSocket {
 public:
  WebSocketFrames client{WebSocketFrames::From::client}, server{WebSocketFrames::From::server};

  // Where the server's connection ends now: whether it ends the WebSocket in its midst. Whoever closes one
  // says so (section 7.1.2); a process that dies does not.
  bool is_cut_by_end_of_server() const {
    return client.readable() && server.readable() && !client.closed() && !server.closed();
  }
};

}  // namespace limpet::http
