// The client's side of one TLS connection, between bytes and bytes: no socket in here. Whoever owns the
// stream hands over what has come from it and writes to it what output() says.
//
// The server's certificate is NOT verified: what this serves asks whether a server works, not who it is.
// Nothing secret may be sent through it.
//
// Versions and ciphers are those that the system's OpenSSL configuration allows.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace limpet::net {

// What connections have in common: half a millisecond to make, and 13 KiB. Outlives its connections.
class TlsContext {
 public:
  TlsContext();

 private:
  friend class TlsClient;
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

class TlsClient {
 public:
  enum class State : uint8_t {
    handshake,
    open,
    ended,   // the server has said that it sends no more
    failed,  // failure() says why
  };

  // Begins the handshake: there is output at once. `server_name` is told to the server (RFC 6066, section 3:
  // a name, no IP address); empty: none.
  TlsClient(TlsContext& context, const std::string& server_name);

  State state() const { return state_; }
  const std::string& failure() const { return failure_; }  // OpenSSL's reason: "wrong version number"

  // Takes all that has come; returns the plain bytes in it, valid until the next call. There may be output
  // and another state afterwards, whatever it returns.
  std::string_view receive(std::string_view wire);
  void send(std::string_view plain);  // only while open
  void close();                       // says that nothing more follows, if it is open
  std::string output();               // what is to be written, once

 private:
  struct Free {
    void operator()(SSL* tls) const { SSL_free(tls); }
  };
  void shake_hands();
  void read();
  void fail();

  std::unique_ptr<SSL, Free> tls_;
  BIO* in_ = nullptr;  // tls_ owns both
  BIO* out_ = nullptr;
  State state_ = State::handshake;
  std::string plain_;
  std::string failure_;
};

}  // namespace limpet::net
