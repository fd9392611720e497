// HTTP/2 as the benchmark's servers speak it: one connection, without its socket. Calls of gRPC, which are
// unary, are answered with one message and grpc-status 0.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/bench/shop.h"

namespace bench {

class Http2 {
 public:
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  Http2(Shop& shop, uint16_t port) : shop_(shop), port_(port), port_text_(std::to_string(port)) {
    nghttp2_session_server_new(&session_, callbacks(), this);
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreams};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &entry, 1);
  }
  ~Http2() { nghttp2_session_del(session_); }
  Http2(const Http2&) = delete;
  Http2& operator=(const Http2&) = delete;

  // False: this is none, or over.
  bool take(std::string_view bytes) {
    return nghttp2_session_mem_recv(session_, octets(bytes), bytes.size()) >= 0 &&
           (nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0);
  }

  // Adds what may leave to `out`, until that holds about kMostGathered.
  void gather(std::string& out) {
    const uint8_t* bytes = nullptr;
    while (out.size() < kMostGathered) {
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size <= 0) return;
      out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
  }

 private:
  static constexpr uint32_t kStreams = 1000;
  static constexpr size_t kMostGathered = 256 * 1024;

  struct Stream {
    std::string target, cookies;
    bool is_grpc = false;
    std::string made;       // an own body
    std::string_view body;  // that is still to be sent
  };

  static uint8_t* octets(std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 only reads them
  }
  static nghttp2_nv field(std::string_view name, std::string_view value) {
    return {octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  }
  static Http2& of(void* user) { return *static_cast<Http2*>(user); }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name_at, size_t name_size,
                       const uint8_t* value_at, size_t value_size, uint8_t, void* user) {
    const std::string_view name(reinterpret_cast<const char*>(name_at), name_size);
    const std::string_view value(reinterpret_cast<const char*>(value_at), value_size);
    Stream& stream = of(user).streams_[frame->hd.stream_id];
    if (name == ":path") stream.target = value;
    if (name == "cookie") stream.cookies.append(value).append("; ");
    if (name == "content-type") stream.is_grpc = value.starts_with("application/grpc");
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool is_of_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    const auto stream = of(user).streams_.find(frame->hd.stream_id);
    if (ends && is_of_request && stream != of(user).streams_.end())
      of(user).answer(stream->first, stream->second);
    return 0;
  }

  static int on_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
    of(user).streams_.erase(id);
    return 0;
  }

  void answer(int32_t id, Stream& stream) {
    Shop::Reply reply = shop_.answer(stream.target, stream.cookies, port_);
    if (reply.kind == Shop::Kind::none) return;
    stream.made = std::move(reply.text);
    stream.body = reply.kind == Shop::Kind::small   ? shop_.small()
                  : reply.kind == Shop::Kind::large ? shop_.large()
                                                    : std::string_view(stream.made);
    std::vector<nghttp2_nv> fields{field(":status", "200"), field("server", kServer),
                                   field("x-backend", port_text_)};
    const std::string length = std::to_string(stream.body.size());
    if (stream.is_grpc) {
      stream.made = message(stream.body);
      stream.body = stream.made;
      fields.push_back(field("content-type", "application/grpc"));
    } else {
      fields.push_back(field("content-type", kType));
      fields.push_back(field("cache-control", kCaching));
      fields.push_back(field("content-length", length));
    }
    if (!reply.cookie.empty()) fields.push_back(field("set-cookie", reply.cookie));
    nghttp2_data_provider body{.source = {.ptr = &stream}, .read_callback = on_read};
    nghttp2_submit_response(session_, id, fields.data(), fields.size(), &body);
  }

  // As gRPC frames one: not compressed, its length in four octets, itself.
  static std::string message(std::string_view content) {
    std::string made(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(content.size() >> shift);
    return made.append(content);
  }

  static ssize_t on_read(nghttp2_session* session, int32_t id, uint8_t* out, size_t most, uint32_t* flags,
                         nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    const size_t size = std::min(most, stream.body.size());
    std::memcpy(out, stream.body.data(), size);
    stream.body.remove_prefix(size);
    if (!stream.body.empty()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream.is_grpc) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const nghttp2_nv trailer = field("grpc-status", "0");
    nghttp2_submit_trailer(session, id, &trailer, 1);
    return static_cast<ssize_t>(size);
  }

  static const nghttp2_session_callbacks* callbacks() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* callbacks = nullptr;
      nghttp2_session_callbacks_new(&callbacks);
      nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
      nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
      return callbacks;
    }();
    return made;
  }

  Shop& shop_;
  const uint16_t port_;
  const std::string port_text_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, Stream> streams_;  // which stay where they are
};

}  // namespace bench
