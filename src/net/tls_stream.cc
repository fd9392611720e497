#include "src/net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace limpet::net {

TlsRoom::TlsRoom(Graveyard& graveyard) : graveyard_(graveyard) {}
TlsRoom::~TlsRoom() = default;

// ---- between OpenSSL and the stream below

int TlsStream::bio_read(BIO* bio, char* out, int size) {
  auto& self = *static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self.came_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(self.came_.size(), static_cast<size_t>(size));
  std::memcpy(out, self.came_.data(), taken);
  self.came_.remove_prefix(taken);
  return static_cast<int>(taken);
}

int TlsStream::bio_write(BIO* bio, const char* bytes, int size) {
  static_cast<TlsStream*>(BIO_get_data(bio))->room_.wire_.append(bytes, static_cast<size_t>(size));
  return size;
}

long TlsStream::bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* TlsStream::bio_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "limpet stream");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

TlsStream::TlsStream(TlsRoom& room, SslPtr tls) : room_(room), tls_(std::move(tls)) {
  BIO* const bio = tls_ ? BIO_new(bio_method()) : nullptr;
  if (bio == nullptr) {
    tls_.reset();
    return;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls_.get(), bio, bio);
  reads_early_ = SSL_is_server(tls_.get()) == 1 && SSL_get_max_early_data(tls_.get()) != 0;
}

// A session is not spoilt by a connection that did not end in good order.
TlsStream::~TlsStream() {
  if (tls_) SSL_set_shutdown(tls_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void TlsStream::start(StreamOwner* owner) { owner_ = owner; }

void TlsStream::precede(std::string bytes) {
  if (!bytes.empty()) before_ = std::make_unique<std::string>(std::move(bytes));
}

void TlsStream::accept(std::string_view came) {
  has_begun_ = true;
  below_->start(this);
  if (!came.empty() || !tls_) on_bytes(came);
}

// ---- what comes in

void TlsStream::on_connected() {
  has_begun_ = true;
  shake_hands();
  if (state_ == State::failed) owner_->on_broken(kTlsFailed);
}

void TlsStream::on_bytes(std::string_view wire) {
  if (state_ >= State::ended) return;
  came_ = wire;
  const bool was_connected = state_ != State::handshake;
  const size_t early = reads_early_ ? read_early() : 0;
  if (!reads_early_ && state_ < State::open) shake_hands();
  if (state_ < State::open || state_ == State::failed) came_ = {};
  if (state_ == State::failed) return owner_->on_broken(kTlsFailed);
  if (state_ == State::handshake) return;
  if (!was_connected) owner_->on_connected();
  if (owner_ == nullptr) return;
  if (state_ != State::early) return read(early);
  if (early != 0) owner_->on_bytes({plain(), early});
}

char* TlsStream::plain() {
  if (!room_.plain_) room_.plain_ = std::make_unique_for_overwrite<char[]>(TlsRoom::kPlainSize);
  return room_.plain_.get();
}

// Into the scratch; says how much. With what it is an answer to, the server's part of the handshake goes out.
size_t TlsStream::read_early() {
  size_t size = 0;
  for (;;) {
    size_t read = 0;
    ERR_clear_error();
    const int result = SSL_read_early_data(tls_.get(), plain() + size, TlsRoom::kPlainSize - size, &read);
    size += read;
    if (result == SSL_READ_EARLY_DATA_SUCCESS) {
      state_ = State::early;
      continue;
    }
    if (result == SSL_READ_EARLY_DATA_FINISH) {
      reads_early_ = false;
    } else if (SSL_get_error(tls_.get(), 0) != SSL_ERROR_WANT_READ) {
      fail();
      return 0;
    }
    flush();
    return size;
  }
}

// Takes the handshake as far as it goes.
void TlsStream::shake_hands() {
  ERR_clear_error();
  const int result = tls_ ? SSL_do_handshake(tls_.get()) : -1;
  if (result == 1) {
    const bool was_early = std::exchange(state_, State::open) == State::early;
    needed_.reset();
    if (!was_early && SSL_is_server(tls_.get()) == 1 && SSL_version(tls_.get()) == TLS1_3_VERSION) {
      precede(room_.wire_);  // a ticket, or nothing
      room_.wire_.clear();
    }
  } else if (!tls_ || SSL_get_error(tls_.get(), result) != SSL_ERROR_WANT_READ) {
    return fail();
  }
  flush();
  if (state_ == State::open && finished_) say_end();
}

// All that came is told before the end that it came with: so many bytes that are in the scratch already, and
// what follows.
void TlsStream::read(size_t size) {
  char* const plain = this->plain();
  int error = SSL_ERROR_NONE;
  const auto is_more = [this] { return !came_.empty() || SSL_has_pending(tls_.get()) == 1; };
  while (error == SSL_ERROR_NONE && size < TlsRoom::kPlainSize && is_more()) {
    size_t read = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(tls_.get(), plain + size, TlsRoom::kPlainSize - size, &read);
    if (result != 1) error = SSL_get_error(tls_.get(), result);
    size += read;
  }
  came_ = {};
  if (error == SSL_ERROR_ZERO_RETURN) state_ = State::ended;
  if (error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_NONE) fail();
  if (!answer()) {
    failure_ = "the peer asks for answers and does not read them";
    state_ = State::failed;
  }
  if (size != 0) owner_->on_bytes({plain, size});
  if (owner_ == nullptr) return;
  if (state_ == State::ended) owner_->on_end();
  if (owner_ != nullptr && state_ == State::failed) owner_->on_broken(kTlsFailed);
}

// Sends what OpenSSL says to what it has read. False: too much of that waits already.
bool TlsStream::answer() {
  const size_t size = room_.wire_.size();
  flush();
  unread_answers_ = below_->queued() == 0 ? 0 : unread_answers_ + size;
  return unread_answers_ <= kMostUnreadAnswers;
}

// Its alert still goes out.
void TlsStream::fail() {
  const long verdict = tls_ ? SSL_get_verify_result(tls_.get()) : X509_V_OK;
  const int reason = ERR_GET_REASON(ERR_peek_error());
  const bool is_verified = reason != SSL_R_CERTIFICATE_VERIFY_FAILED;
  has_no_protocol_ = reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
  failure_ = is_verified ? openssl_reason() : X509_verify_cert_error_string(verdict);
  state_ = State::failed;
  if (flush()) finish_below();
}

void TlsStream::on_end() {
  if (state_ >= State::ended) return;
  const bool was_open = state_ == State::open;
  failure_ = "the connection ended";
  state_ = State::failed;
  owner_->on_broken(was_open ? kTlsTruncated : kTlsFailed);
}

void TlsStream::on_drained() {
  if (state_ != State::handshake && state_ != State::failed) owner_->on_drained();
}

void TlsStream::on_broken(int error) {
  if (state_ != State::failed) owner_->on_broken(error);
}

// ---- what goes out

bool TlsStream::write(std::span<const iovec> parts) {
  if (finished_ || state_ == State::handshake || state_ == State::failed) return false;
  std::string& record = room_.record_;
  bool sealed = true;
  for (const iovec& part : parts) {
    std::string_view rest(static_cast<const char*>(part.iov_base), part.iov_len);
    while (!rest.empty() && sealed) {
      const bool is_whole = record.empty() && rest.size() >= SSL3_RT_MAX_PLAIN_LENGTH;
      const std::string_view piece = rest.substr(0, SSL3_RT_MAX_PLAIN_LENGTH - record.size());
      rest.remove_prefix(piece.size());
      if (is_whole) {
        sealed = seal(piece);
        continue;
      }
      record.append(piece);
      if (record.size() != SSL3_RT_MAX_PLAIN_LENGTH) continue;
      sealed = seal(record);
      record.clear();
    }
  }
  if (sealed && !record.empty()) sealed = seal(record);
  record.clear();
  return flush() && sealed;
}

bool TlsStream::seal(std::string_view plain) {
  ERR_clear_error();
  size_t sealed = 0;
  const auto write = state_ == State::early ? SSL_write_early_data : SSL_write_ex;
  return write(tls_.get(), plain.data(), plain.size(), &sealed) == 1;
}

// Behind the end nothing goes out, whatever OpenSSL still has to say.
bool TlsStream::flush() {
  std::string& wire = room_.wire_;
  if (wire.empty()) return true;
  if (before_) wire.insert(0, *std::exchange(before_, nullptr));
  const iovec part{wire.data(), wire.size()};
  const bool taken = below_ != nullptr && !is_below_finished_ && below_->write({&part, 1});
  wire.clear();
  return taken;
}

// Within a handshake TLS has no end in good order: it is said once that is over.
void TlsStream::finish() {
  if (!std::exchange(finished_, true) && state_ != State::early) say_end();
}

void TlsStream::say_end() {
  ERR_clear_error();
  if (state_ == State::open || state_ == State::ended) SSL_shutdown(tls_.get());
  flush();
  finish_below();
}

void TlsStream::finish_below() {
  is_below_finished_ = true;
  below_->finish();
}

void TlsStream::close() {
  if (owner_ == nullptr && below_ == nullptr) return;
  owner_ = nullptr;
  below_.reset();
  bury();
}

void TlsStream::reset() {
  if (below_ == nullptr) return;
  owner_ = nullptr;
  below_.release()->reset();
  bury();
}

void TlsStream::bury() { room_.graveyard_.bury(std::unique_ptr<Mortal>(this)); }

}  // namespace limpet::net
