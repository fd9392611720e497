// A connection's bytes, both ways, whatever carries them. Everything above speaks to this interface only: TCP
// and unix sockets are UvStream; a test drives the same code with a stream of its own, and encryption fits as
// one more.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "src/net/gather.h"

namespace limpet::net {

// Hears the facts about one stream. Never called from inside a call to the stream, and never after close().
class StreamOwner {
 public:
  virtual void on_connected() {}
  virtual void on_bytes(std::string_view bytes) = 0;  // valid during the call only
  virtual void on_end() = 0;                          // the peer has sent its last byte; writing goes on
  virtual void on_drained() = 0;                      // all that was queued has been written
  virtual void on_broken(int error) = 0;              // a negative errno; nothing more can be read or written

 protected:
  ~StreamOwner() = default;
};

class Stream {
 public:
  virtual void start(StreamOwner* owner) = 0;  // begins to read, or tells another owner from now on

  // Takes everything. It is sent before the loop waits again; what the peer does not accept then is queued,
  // and on_drained() follows. False: the peer takes no more and nothing of this was sent. What it has sent is
  // still read: on_bytes(), then on_end() or on_broken(), go on.
  virtual bool write(std::span<const iovec> parts) = 0;
  virtual size_t queued() const = 0;  // bytes that the peer lags behind
  // Whether anything may have been sent since mark(). Where nothing was and the peer takes no more, nothing
  // ever is.
  virtual void mark() = 0;
  virtual bool has_sent_since_mark() const = 0;

  // Backpressure. A stream reads from the start; pausing and resuming costs system calls, so only while a
  // peer really lags.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Whether what comes now may be a copy of what somebody else has sent before (RFC 8446, section 8).
  virtual bool is_early() const { return false; }

  // Once it is connected. By TLS both sides have to have agreed to that.
  virtual bool may_speak_http2() const { return true; }

  virtual int descriptor() const = 0;  // its number; -1: it has none

  virtual void finish() = 0;  // after what was written: no more bytes from this side
  virtual void close() = 0;   // what is not sent is dropped; no more events; frees itself when it can
  virtual void reset() = 0;   // close() so that the peer sees a reset, not an end

 protected:
  virtual ~Stream() = default;
};

struct CloseStream {
  void operator()(Stream* stream) const { stream->close(); }
};
using StreamPtr = std::unique_ptr<Stream, CloseStream>;

}  // namespace limpet::net
