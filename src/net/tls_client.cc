#include "src/net/tls_client.h"

#include <openssl/bio.h>
#include <openssl/err.h>

namespace limpet::net {

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_client_method())) {
  if (context_) SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
}

TlsClient::TlsClient(TlsContext& context, const std::string& server_name) {
  ERR_clear_error();
  tls_.reset(SSL_new(context.context_.get()));
  if (!tls_) {
    fail();
    return;
  }
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  SSL_set_bio(tls_.get(), in_, out_);
  SSL_set_connect_state(tls_.get());
  if (server_name.empty() || SSL_set_tlsext_host_name(tls_.get(), server_name.c_str()) == 1) {
    shake_hands();
  } else {
    fail();
  }
}

std::string_view TlsClient::receive(std::string_view wire) {
  plain_.clear();
  if (state_ == State::failed) return {};
  BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
  if (state_ == State::handshake) shake_hands();
  if (state_ == State::open) read();
  return plain_;
}

void TlsClient::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_.get());
  if (result == 1) {
    state_ = State::open;
    return;
  }
  const int error = SSL_get_error(tls_.get(), result);
  if (error == SSL_ERROR_ZERO_RETURN) {
    state_ = State::ended;
  } else if (error != SSL_ERROR_WANT_READ) {
    fail();
  }
}

void TlsClient::read() {
  for (;;) {
    const size_t before = plain_.size();
    plain_.resize(before + SSL3_RT_MAX_PLAIN_LENGTH);
    size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(tls_.get(), plain_.data() + before, SSL3_RT_MAX_PLAIN_LENGTH, &size);
    plain_.resize(before + size);
    if (result == 1) continue;
    const int error = SSL_get_error(tls_.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) {
      state_ = State::ended;
    } else if (error != SSL_ERROR_WANT_READ) {
      fail();
    }
    return;
  }
}

void TlsClient::send(std::string_view plain) {
  ERR_clear_error();
  size_t sent = 0;  // into memory: all or nothing
  if (SSL_write_ex(tls_.get(), plain.data(), plain.size(), &sent) != 1) fail();
}

void TlsClient::close() {
  if (state_ != State::open) return;
  ERR_clear_error();
  SSL_shutdown(tls_.get());
}

std::string TlsClient::output() {
  std::string bytes;
  if (out_ == nullptr) return bytes;
  bytes.resize(BIO_ctrl_pending(out_));
  if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void TlsClient::fail() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  failure_ = reason != nullptr ? reason : "for no known reason";
  state_ = State::failed;
}

}  // namespace limpet::net
