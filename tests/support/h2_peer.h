// A peer that speaks HTTP/2 by nghttp2, at the other end of a FakeStream: a client of the code under test, or
// a backend. What it wants to say is said, and read, by exchange(); frames of one's own go by say_frame().
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/fake_net.h"

namespace limpet::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out;
  for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift & 255);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(stream >> shift & 255);
  return out.append(payload);
}

class H2Peer {
 public:
  struct Message {
    Headers head;  // of the final answer, or the request
    Headers trailers;
    std::vector<Headers> interim;
    std::string content;
    bool ended = false;              // END_STREAM came
    std::optional<uint32_t> closed;  // the stream, with this error
    bool heads_done = false;         // what comes now are trailers

    std::string field(std::string_view name) const {
      for (const auto& [known, value] : head)
        if (known == name) return value;
      return {};
    }
    std::string status() const { return field(":status"); }
  };
  enum class Role : uint8_t { client, server };

  explicit H2Peer(FakeStream& stream, Role role = Role::client,
                  std::vector<nghttp2_settings_entry> settings = {})
      : stream_(stream) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);  // a test says what is valid
    nghttp2_option_set_peer_max_concurrent_streams(option, 1000);
    if (role == Role::client) {
      nghttp2_session_client_new2(&session_, callbacks, this, option);
    } else {
      nghttp2_session_server_new2(&session_, callbacks, this, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  }
  ~H2Peer() { nghttp2_session_del(session_); }
  H2Peer(const H2Peer&) = delete;
  H2Peer& operator=(const H2Peer&) = delete;

  // ---- what it says, once exchange() is called

  // Says which stream; with `more`, content follows.
  int32_t ask(const Headers& head, bool more = false) {
    const auto fields = fields_of(head);
    if (!more)
      return nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), nullptr, nullptr);
    nghttp2_data_provider content{.source = {.ptr = this}, .read_callback = on_read};
    return nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), &content, nullptr);
  }
  void answer(int32_t stream, const Headers& head, bool more = false) {
    const auto fields = fields_of(head);
    nghttp2_data_provider content{.source = {.ptr = this}, .read_callback = on_read};
    nghttp2_submit_response(session_, stream, fields.data(), fields.size(), more ? &content : nullptr);
  }
  void answer_interim(int32_t stream, const Headers& head) {
    const auto fields = fields_of(head);
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream, nullptr, fields.data(), fields.size(),
                           nullptr);
  }
  void content(int32_t stream, std::string_view piece, bool ends = false) {
    out_[stream].bytes.append(piece);
    out_[stream].ends = ends;
    nghttp2_session_resume_data(session_, stream);
  }
  void trailers(int32_t stream, Headers fields) {  // behind all content
    out_[stream].trailers = std::move(fields);
    content(stream, {}, true);
  }
  void reset(int32_t stream, uint32_t error = NGHTTP2_CANCEL) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, error);
  }
  void ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }
  void go_away(int32_t last) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  size_t window(int32_t stream) const {  // bytes that it may send now
    return static_cast<size_t>(nghttp2_session_get_stream_remote_window_size(session_, stream));
  }
  void open_windows(int32_t stream, size_t bytes) { nghttp2_session_consume(session_, stream, bytes); }

  // All that it wants to say is said and read, and all that came is heard; until nothing moves.
  void exchange() {
    for (;;) {
      const std::string said = next();
      if (!said.empty()) stream_.sends(said);
      if (!hear() && said.empty()) return;
    }
  }
  // What it wants to say, for a test that says it in parts.
  std::string next() {
    std::string all;
    for (;;) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size <= 0) return all;
      all.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
  }
  // False: nothing new has come.
  bool hear() {
    const std::string_view fresh = std::string_view(stream_.received).substr(heard_);
    heard_ = stream_.received.size();
    if (fresh.empty()) return false;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(fresh.data()), fresh.size());
    if (taken != static_cast<ssize_t>(fresh.size())) broken = true;
    return true;
  }

  // ---- what it heard

  Message& operator[](int32_t stream) { return messages[stream]; }
  std::map<int32_t, Message> messages;
  std::vector<uint32_t> goaways;  // errors
  int32_t last_stream = -1;       // of the latest
  size_t settings_acks = 0, pings = 0, ping_acks = 0;
  bool broken = false;  // what came is no HTTP/2

 private:
  struct Out {
    std::string bytes;
    bool ends = false;
    Headers trailers;
  };

  static std::vector<nghttp2_nv> fields_of(const Headers& head) {
    std::vector<nghttp2_nv> fields;
    for (const auto& [name, value] : head) {
      fields.push_back({octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    return fields;
  }
  static uint8_t* octets(const std::string& text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  }
  static H2Peer& of(void* user) { return *static_cast<H2Peer*>(user); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Message& message = of(user).messages[frame->hd.stream_id];
    const bool is_interim = message.status().starts_with('1');
    if (is_interim) message.interim.push_back(std::exchange(message.head, {}));
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Message& message = of(user).messages[frame->hd.stream_id];
    const bool is_trailer = message.heads_done;
    (is_trailer ? message.trailers : message.head)
        .emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                      std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data, size_t size,
                     void* user) {
    of(user).messages[stream].content.append(reinterpret_cast<const char*>(data), size);
    if (of(user).opens_windows) nghttp2_session_consume(of(user).session_, stream, size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Peer& self = of(user);
    Message& message = self.messages[frame->hd.stream_id];
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        message.heads_done = !message.status().starts_with('1');
        [[fallthrough]];
      case NGHTTP2_DATA:
        message.ended = message.ended || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        break;
      case NGHTTP2_GOAWAY:
        self.goaways.push_back(frame->goaway.error_code);
        self.last_stream = frame->goaway.last_stream_id;
        break;
      case NGHTTP2_PING:
        ++((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? self.ping_acks : self.pings);
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++self.settings_acks;
        break;
      default:
        break;
    }
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t stream, uint32_t error, void* user) {
    of(user).messages[stream].closed = error;
    return 0;
  }
  static ssize_t on_read(nghttp2_session* session, int32_t stream, uint8_t* out, size_t most, uint32_t* flags,
                         nghttp2_data_source* source, void*) {
    Out& from = static_cast<H2Peer*>(source->ptr)->out_[stream];
    const size_t size = std::min(most, from.bytes.size());
    std::copy_n(from.bytes.data(), size, out);
    from.bytes.erase(0, size);
    const bool ends = from.ends && from.bytes.empty();
    if (size == 0 && !ends) return NGHTTP2_ERR_DEFERRED;
    if (!ends) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (from.trailers.empty()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const auto fields = fields_of(from.trailers);
    nghttp2_submit_trailer(session, stream, fields.data(), fields.size());
    return static_cast<ssize_t>(size);
  }

  FakeStream& stream_;
  nghttp2_session* session_ = nullptr;
  size_t heard_ = 0;  // of what the stream received
  std::map<int32_t, Out> out_;

 public:
  bool opens_windows = true;  // as content comes
};

}  // namespace limpet::test
