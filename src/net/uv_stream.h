// A TCP or unix-domain stream on libuv.
//
// A warm request costs one read and one write on each side: reads go into the loop's one scratch buffer and
// are handed on in place, small writes go by the loop's outbox, large ones at once, and only what did not fit
// waits for the socket.
#pragma once

#include <uv.h>

#include <string>

#include "src/net/outbox.h"
#include "src/net/stream.h"

namespace limpet::net {

class Loop;

class UvStream final : public Stream {
 public:
  // A TCP connection that was accepted, not blocking; owns `fd`. nullptr: it cannot be had, and is closed.
  static UvStream* adopt(Loop& loop, int fd);
  // A connection in the making: on_connected() or on_broken() follows. nullptr: not even that, for the reason
  // in `error`, which is -EMFILE where its descriptor would not be `below` that number, and kNoPortLeft only
  // where that is what is missing.
  static UvStream* connect(Loop& loop, const sockaddr* address, int below, StreamOwner* owner, int& error);
  static UvStream* connect_unix(Loop& loop, const std::string& path, int below, StreamOwner* owner,
                                int& error);

  void start(StreamOwner* owner) override;
  bool write(std::span<const iovec> parts) override;
  size_t queued() const override { return writing_.size() + waiting_.size(); }
  void mark() override { sent_since_mark_ = false; }
  bool has_sent_since_mark() const override { return sent_since_mark_; }
  void post();  // sends what waits in the outbox
  void pause() override;
  void resume() override;
  int descriptor() const override;
  void finish() override;
  void close() override;
  void reset() override;

 private:
  explicit UvStream(Loop& loop);  // whose handle is still to be made
  ~UvStream() override = default;

  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle_); }
  void begin_connect();
  bool send(std::span<const iovec> parts);
  void write_waiting();
  void abandon();
  int hidden_error();
  static UvStream& of(void* handle) {
    return *static_cast<UvStream*>(static_cast<uv_handle_t*>(handle)->data);
  }
  static void on_connect(uv_connect_t* request, int status);
  static void on_allocate(uv_handle_t* handle, size_t suggested, uv_buf_t* buffer);
  static void on_read(uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer);
  static void on_written(uv_write_t* request, int status);
  static void on_closed(uv_handle_t* handle);

  union Handle {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
  Handle handle_;
  Loop& loop_;
  StreamOwner* owner_ = nullptr;  // nullptr once closed
  std::string writing_;           // what libuv is writing now
  std::string waiting_;           // what comes after it
  struct Requests;                // made when first needed, most streams never queue
  std::unique_ptr<Requests> requests_;
  Outbox::Place outbox_ = Outbox::kNowhere;
  bool write_broken_ = false;  // the peer takes no more; reading goes on
  bool reading_ = false;
  bool sent_since_mark_ = false;
  bool read_ended_ = false;                         // on_end() has been told
  enum class Finish : uint8_t { no, asked, done };  // asked: once nothing is queued
  Finish finish_ = Finish::no;
};

}  // namespace limpet::net
