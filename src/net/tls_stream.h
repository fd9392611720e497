// A stream through TLS (RFC 8446, RFC 5246), over another stream, as a server or as a client.
//
// Its owner hears on_connected() once the handshake is over, or once early data comes (RFC 8446,
// section 2.3), and only then may write. While is_early() the handshake goes on. What one read brings is
// decrypted into the room's scratch and told in one piece; what one write takes is sealed in as few records
// as hold it. Nothing is buffered here: an idle stream holds OpenSSL's state alone.
//
// A server's ticket (TLS 1.3) goes out in front of the first bytes that are written, in their packet.
//
// A peer may ask for answers of TLS' own (KeyUpdate, renegotiation). One that asks on and reads none is cut.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "src/net/loop.h"
#include "src/net/openssl.h"
#include "src/net/stream.h"

namespace limpet::net {

// on_broken(): the handshake failed, or what came was no TLS. TlsStream::failure() says why.
inline constexpr int kTlsFailed = -30'001;
// on_broken(): the stream below ended without a close_notify, as anybody could make it.
inline constexpr int kTlsTruncated = -30'002;

// What is queued at most for a peer that asks TLS for answers and does not read them.
inline constexpr size_t kMostUnreadAnswers = 16 * 1024;

// What the TLS streams of one loop share; outlives them.
class TlsRoom {
 public:
  explicit TlsRoom(Graveyard& graveyard);
  ~TlsRoom();
  TlsRoom(const TlsRoom&) = delete;
  TlsRoom& operator=(const TlsRoom&) = delete;

 private:
  friend class TlsStream;
  // A read, and what OpenSSL kept of the record that it began in.
  static constexpr size_t kPlainSize = Loop::kReadSize + SSL3_RT_MAX_PACKET_SIZE;

  Graveyard& graveyard_;
  std::unique_ptr<char[]> plain_;
  std::string record_;  // plain bytes that are about to be sealed
  std::string wire_;    // records that are about to be written
};

class TlsStream final : public Mortal, public Stream, StreamOwner {
 public:
  // `tls` is to accept, or to connect; nullptr: it cannot be had, and the stream breaks. `below` has an
  // owner, or gets one by start(); one that is still connecting has this.
  TlsStream(TlsRoom& room, SslPtr tls);
  ~TlsStream() override;

  StreamOwner* as_owner() { return this; }                     // of the stream below, while that connects
  void attach(StreamPtr below) { below_ = std::move(below); }  // first of all
  void precede(std::string bytes);  // sent as they are, in front of what is sent next
  // For as long as the handshake takes.
  void keep(std::shared_ptr<const void> needed) { needed_ = std::move(needed); }
  void accept(std::string_view came);  // begins the handshake with bytes that have come already

  const SSL* tls() const { return tls_.get(); }
  bool has_begun() const { return has_begun_; }  // the stream below is connected, or came so
  // OpenSSL's reason, "wrong version number", or what is wrong with the peer's certificate.
  std::string_view failure() const { return failure_; }
  bool has_no_protocol() const { return has_no_protocol_; }  // for it speaks none that was offered

  void start(StreamOwner* owner) override;
  bool write(std::span<const iovec> parts) override;
  size_t queued() const override { return below_->queued(); }
  void mark() override { below_->mark(); }
  bool has_sent_since_mark() const override { return below_->has_sent_since_mark(); }
  void pause() override { below_->pause(); }
  void resume() override { below_->resume(); }
  bool is_early() const override { return state_ == State::early; }
  bool may_speak_http2() const override { return chose_http2(tls()); }
  int descriptor() const override { return below_->descriptor(); }
  void finish() override;
  void close() override;
  void reset() override;

 private:
  enum class State : uint8_t {
    handshake,
    early,  // the same, and early data has come: the owner has been told that it is connected
    open,
    ended,   // the peer has said that it sends no more
    failed,  // and has been told to its owner
  };

  void on_connected() override;
  void on_bytes(std::string_view wire) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int error) override;

  void shake_hands();
  size_t read_early();
  void read(size_t size);
  char* plain();
  void say_end();
  void finish_below();
  bool answer();
  void fail();
  bool seal(std::string_view plain);
  bool flush();
  void bury();
  static int bio_read(BIO* bio, char* out, int size);
  static int bio_write(BIO* bio, const char* bytes, int size);
  static long bio_control(BIO* bio, int command, long, void*);
  static const BIO_METHOD* bio_method();

  TlsRoom& room_;
  StreamPtr below_;
  std::unique_ptr<std::string> before_;  // what is sent next
  SslPtr tls_;
  StreamOwner* owner_ = nullptr;  // nullptr once closed
  std::string_view came_;         // from below, and not yet taken
  const char* failure_ = "";
  size_t unread_answers_ = 0;  // bytes
  std::shared_ptr<const void> needed_;
  State state_ = State::handshake;
  bool has_begun_ = false;
  bool reads_early_ = false;  // early data may still come
  bool has_no_protocol_ = false;
  bool finished_ = false;
  bool is_below_finished_ = false;
};

// By TLS, over the stream that `dial(owner)` makes, connecting; `preface` comes before the handshake.
// nullptr: it makes none.
template <class Dial>
TlsStream* dial_tls(TlsRoom& room, SslPtr tls, std::string preface, StreamOwner* owner, Dial&& dial) {
  auto made = std::make_unique<TlsStream>(room, std::move(tls));
  StreamPtr below = dial(made->as_owner());
  if (below == nullptr) return nullptr;
  made->attach(std::move(below));
  made->precede(std::move(preface));
  made->start(owner);
  return made.release();
}

}  // namespace limpet::net
