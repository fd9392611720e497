#include "src/http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <new>

namespace limpet::http {

namespace {

constexpr uint32_t kMostSettings = 32;  // in one frame

// What belongs to one connection has no place here (RFC 9113, section 8.2.2); Host is :authority.
constexpr FieldSet kNotInHttp2{
    FieldName::host,    FieldName::connection,        FieldName::keep_alive, FieldName::proxy_connection,
    FieldName::upgrade, FieldName::transfer_encoding, FieldName::hop_by_hop};

bool is_host(std::string_view line) { return field_name(line.substr(0, line.find(':'))) == FieldName::host; }

// What RFC 8441 leaves out, section 5.
bool is_of_handshake(std::string_view name) {
  return equals_ignoring_case(name, "sec-websocket-key") ||
         equals_ignoring_case(name, "sec-websocket-accept");
}

uint8_t* octets(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 only reads them
}

std::string_view view(const uint8_t* octets, size_t size) {
  return {reinterpret_cast<const char*>(octets), size};
}

}  // namespace

const char* text(H2Error error) { return nghttp2_http2_strerror(static_cast<uint32_t>(error)); }

// ---- what nghttp2 tells

struct H2Session::Callbacks {
  static H2Session& of(void* user) { return *static_cast<H2Session*>(user); }

  static int on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* head, void* user) {
    H2Session& self = of(user);
    switch (head->type) {
      case NGHTTP2_SETTINGS:
        if ((head->flags & NGHTTP2_FLAG_ACK) == 0) self.count(H2Abuse::settings);
        break;
      case NGHTTP2_PING:
        self.count(H2Abuse::pings);
        break;
      case NGHTTP2_PRIORITY:
        if (head->stream_id == 0)  // nghttp2 looks at none of it
          nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
        [[fallthrough]];
      case NGHTTP2_PRIORITY_UPDATE:
        self.count(H2Abuse::priorities);
        break;
      case NGHTTP2_WINDOW_UPDATE:
        self.count(H2Abuse::window_updates);
        break;
      case NGHTTP2_HEADERS:
        if (head->stream_id <= nghttp2_session_get_last_proc_stream_id(session) &&
            self.find(head->stream_id) == nullptr)
          self.count(H2Abuse::heads);  // of a stream that is over
        break;
      case NGHTTP2_DATA:
      case NGHTTP2_RST_STREAM:
      case NGHTTP2_GOAWAY:
      case NGHTTP2_CONTINUATION:
      default:
        break;
    }
    return 0;
  }

  // Of frames that nobody knows nghttp2 tells where it is asked to, and by this.
  static int on_unknown_frame(nghttp2_session*, void**, const nghttp2_frame_hd*, void* user) {
    of(user).count(H2Abuse::empty_frames);
    return NGHTTP2_ERR_CANCEL;
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Session& self = of(user);
    const int32_t id = frame->hd.stream_id;
    self.fields_of_ = self.find(id);
    if (Stream* const stream = self.fields_of_) {
      (stream->has_head_ ? stream->trailers : stream->head).begin(self.limits_);
      return 0;
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Stream* const stream = self.broken_ ? nullptr : self.owner_.on_new_stream();
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->id_ = id;
    stream->window_ = self.stream_window_;
    stream->head.begin(self.limits_);
    nghttp2_session_set_stream_user_data(session, id, stream);
    self.in_head_ = self.fields_of_ = stream;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Stream* const stream = of(user).fields_of_;
    if (stream == nullptr) return 0;
    H2Head& head = stream->has_head_ ? stream->trailers : stream->head;
    head.add(view(name, name_size), view(value, value_size));
    if (!head.is_out_of_bounds()) return 0;
    stream->is_malformed_ = true;
    of(user).count(H2Abuse::heads);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // what follows is unpacked, and not looked at
  }

  // nghttp2 would leave the field out and go on.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*,
                               size_t, uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                     void* user) {
    Stream* const stream = of(user).find(id);
    if (stream == nullptr) {
      nghttp2_session_consume(session, id, size);
    } else {
      stream->on_content(view(data, size));
    }
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& self = of(user);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_DATA:
        if (frame->hd.length > frame->data.padlen) {
          self.budget_.passed();
        } else if (!ends) {
          self.count(H2Abuse::empty_frames);
        }
        break;
      case NGHTTP2_RST_STREAM:
        self.count(H2Abuse::resets);
        if (Stream* const reset = self.find(frame->hd.stream_id)) reset->is_reset_ = true;
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) self.owner_.on_ping_answered();
        return 0;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) return 0;
        self.has_settings_ = true;
        self.owner_.on_settings();
        return 0;
      case NGHTTP2_GOAWAY:
        self.owner_.on_goaway(static_cast<H2Error>(frame->goaway.error_code));
        return 0;
      case NGHTTP2_HEADERS:
        break;
      default:
        return 0;
    }
    Stream* const stream = self.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->remote_ended_ = ends;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->has_head_) {
      self.in_head_ = nullptr;
      stream->has_head_ = !stream->head.is_interim();
      stream->on_head(!ends);
    } else if (ends) {
      stream->on_content_end();
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    H2Session& self = of(user);
    const bool is_head = frame->hd.type == NGHTTP2_HEADERS;
    if (Stream* const stream = self.find(frame->hd.stream_id)) stream->is_malformed_ = true;
    self.count(is_head ? H2Abuse::heads : H2Abuse::stream_errors);
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    H2Session& self = of(user);
    Stream* const stream = self.find(id);
    if (stream == nullptr) return 0;
    self.forget(*stream);
    const auto error = static_cast<H2Error>(code);
    // Of content that is not of the length that the head says nghttp2 tells nothing else.
    const bool is_refused = error == H2Error::none || error == H2Error::refused_stream;
    if (!stream->is_malformed_ && !stream->is_reset_ && !is_refused) {
      stream->is_malformed_ = true;
      self.count(H2Abuse::stream_errors);
    }
    if (self.out_ != nullptr) {
      self.closed_.emplace_back(stream, error);
    } else {
      stream->on_closed(error, stream->is_malformed_);
    }
    return 0;
  }

  // An answer may end before its request has: the rest of that is not asked for (RFC 9113, section 8.1).
  static int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Session& self = of(user);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
      self.count(H2Abuse::violations);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    self.budget_.answered();
    const Stream* const stream = self.find(frame->hd.stream_id);
    const bool is_cut_short = stream != nullptr && !stream->remote_ended_ && !stream->is_tunnel;
    if (self.role_ == Role::server && is_cut_short)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static ssize_t on_read(nghttp2_session* session, int32_t id, uint8_t*, size_t most, uint32_t* flags,
                         nghttp2_data_source* source, void* user) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const size_t size = std::min(most, stream.outgoing.size());
    const bool ends = stream.outgoing.has_ended() && size == stream.outgoing.size();
    if (size == 0 && !ends) {
      stream.waits_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!ends) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailer_lines_.empty()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    H2Session& self = of(user);
    self.fields_.clear();
    self.add_lines(stream.trailer_lines_);
    nghttp2_submit_trailer(session, id, self.fields_.data(), self.fields_.size());
    return static_cast<ssize_t>(size);
  }

  static int on_send_data(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
                          nghttp2_data_source* source, void* user) {
    constexpr size_t kFrameHead = 9;
    H2Session& self = of(user);
    if (self.out_->size() >= kMostAtOnce) return NGHTTP2_ERR_WOULDBLOCK;
    Stream& stream = *static_cast<Stream*>(source->ptr);
    self.out_->text(view(head, kFrameHead));
    if (size == 0) return 0;
    stream.outgoing.take(size, *self.out_);
    self.sent_.push_back(&stream);
    self.budget_.sent(size);
    (void)frame;
    return 0;
  }

  static const nghttp2_session_callbacks* all() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* callbacks = nullptr;
      if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
      nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
      nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
      nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
      nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
      nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
      nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
      return callbacks;
    }();
    return made;
  }

  static const nghttp2_option* options() {
    static const nghttp2_option* const made = [] {
      nghttp2_option* option = nullptr;
      if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
      nghttp2_option_set_no_auto_window_update(option, 1);
      nghttp2_option_set_no_closed_streams(option, 1);
      nghttp2_option_set_max_settings(option, kMostSettings);
      for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= 255; ++type) {
        if (type != NGHTTP2_PRIORITY_UPDATE)
          nghttp2_option_set_user_recv_extension_type(option, static_cast<uint8_t>(type));
      }
      nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
      return option;
    }();
    return made;
  }
};

// ---- what it is

H2Session::H2Session(Role role, Owner& owner, const Settings& settings, uint64_t now_ms)
    : owner_(owner),
      role_(role),
      limits_(settings.head),
      stream_window_(settings.stream_window),
      connection_window_(settings.connection_window),
      widest_(settings.stream_window),
      budget_(now_ms),
      now_ms_(now_ms) {
  const auto make = role == Role::server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
  if (make(&session_, Callbacks::all(), this, Callbacks::options()) != 0) throw std::bad_alloc();
  const bool serves = role == Role::server;
  const std::array<nghttp2_settings_entry, 5> entries{{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(settings.head.head)},
      {serves ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
       serves ? settings.streams : 0},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  const size_t count = serves ? entries.size() : entries.size() - 1;
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(settings.connection_window));
}

H2Session::~H2Session() { nghttp2_session_del(session_); }

void H2Session::Stream::clear() {
  id_ = 0;
  taken_ = 0;
  has_head_ = is_malformed_ = is_reset_ = remote_ended_ = waits_ = is_tunnel = false;
  trailer_lines_.clear();
  outgoing.clear();
  head.give_back_memory();
  trailers.give_back_memory();
}

H2Session::Stream* H2Session::find(int32_t id) const {
  return id == 0 ? nullptr : static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void H2Session::forget(Stream& stream) {
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  if (in_head_ == &stream) in_head_ = nullptr;
  if (fields_of_ == &stream) fields_of_ = nullptr;
}

void H2Session::count(H2Abuse abuse) {
  if (broken_ || role_ == Role::client) return;
  if (budget_.spend(abuse, now_ms_)) return;
  owner_.on_abuse(abuse);
  if (abuse == H2Abuse::violations) {
    broken_ = true;  // and nghttp2 has said which
  } else {
    go_away(H2Error::enhance_your_calm);
  }
}

// ---- what comes in

bool H2Session::feed(std::string_view bytes, uint64_t now_ms) {
  now_ms_ = now_ms;
  feeding_ = true;
  const ssize_t taken = nghttp2_session_mem_recv(session_, octets(bytes), bytes.size());
  feeding_ = false;
  const bool is_flood = taken == NGHTTP2_ERR_FLOODED || taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
  if (taken < 0) count(is_flood ? H2Abuse::flood : H2Abuse::violations);
  if (taken < 0) broken_ = true;
  return !broken_;
}

void H2Session::consume(Stream& stream, size_t bytes) {
  stream.taken_ = 0;
  nghttp2_session_consume(session_, stream.id_, bytes);
}

void H2Session::consume_at_once(Stream& stream, size_t bytes) {
  nghttp2_session_consume(session_, stream.id_, bytes);
  stream.taken_ += bytes;
  if (stream.taken_ < stream.window_ || stream.window_ >= kWidest) return;
  stream.taken_ = 0;
  widen(stream);
}

// What a wide stream leaves untaken takes nothing from what others have of the connection's window.
void H2Session::widen(Stream& stream) {
  const auto set = [this](int32_t id, uint32_t window) {
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, id, static_cast<int32_t>(window));
  };
  stream.window_ *= 2;
  set(stream.id_, stream.window_);
  if (stream.window_ <= widest_) return;
  widest_ = stream.window_;
  set(0, connection_window_ + widest_ - stream_window_);
}

// ---- what goes out

void H2Session::gather(net::Gather& out) {
  out_ = &out;
  while (out.size() < kMostAtOnce) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) broken_ = true;
    if (size <= 0) break;
    out.text(view(bytes, static_cast<size_t>(size)));
  }
  out_ = nullptr;
}

void H2Session::sent() {
  for (Stream* const stream : sent_) stream->outgoing.keep();
  sent_.clear();
  while (!closed_.empty()) {
    const auto [stream, error] = closed_.back();
    closed_.pop_back();
    stream->on_closed(error, stream->is_malformed_);
  }
}

bool H2Session::is_over() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

void H2Session::begin_fields(int status) {
  for (size_t i = status_.size(); i-- > 0; status /= 10) status_[i] = static_cast<char>('0' + status % 10);
  fields_.clear();
  add_field(":status", {status_.data(), status_.size()});
}

void H2Session::add_field(std::string_view name, std::string_view value) {
  fields_.push_back({octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
}

void H2Session::add_lines(std::string_view lines) {
  while (!lines.starts_with('\r')) {
    const size_t end = lines.find("\r\n");
    const size_t colon = lines.find(':');
    const std::string_view name = lines.substr(0, colon);
    if (!kNotInHttp2.contains(field_name(name)) && !is_of_handshake(name))
      add_field(name, trimmed(lines.substr(colon + 1, end - colon - 1)));
    lines.remove_prefix(end + 2);
  }
}

void H2Session::send_interim(Stream& stream, int status, std::string_view head) {
  begin_fields(status);
  add_lines(head.substr(head.find('\n') + 1));
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, fields_.data(), fields_.size(),
                         nullptr);
}

void H2Session::send_head(Stream& stream, int status, std::string_view head, bool ends) {
  begin_fields(status);
  add_lines(head.substr(head.find('\n') + 1));
  nghttp2_data_provider content{.source = {.ptr = &stream}, .read_callback = Callbacks::on_read};
  nghttp2_submit_response(session_, stream.id_, fields_.data(), fields_.size(), ends ? nullptr : &content);
}

void H2Session::send_request(Stream& stream, std::string_view scheme, std::string_view head, bool ends,
                             bool upgrade) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t method = line.find(' '), target = line.rfind(' ');
  fields_.clear();
  add_field(":method", upgrade ? std::string_view("CONNECT") : line.substr(0, method));
  if (upgrade) add_field(":protocol", "websocket");
  add_field(":scheme", scheme);
  add_field(":path", line.substr(method + 1, target - method - 1));
  const std::string_view lines = head.substr(line.size() + 2);
  for (std::string_view rest = lines; !rest.starts_with('\r'); rest.remove_prefix(rest.find('\n') + 1)) {
    if (!is_host(rest)) continue;
    const size_t begin = rest.find(':') + 1;
    const std::string_view value = trimmed(rest.substr(begin, rest.find('\r') - begin));
    if (!value.empty()) add_field(":authority", value);
    break;
  }
  add_lines(lines);
  nghttp2_data_provider content{.source = {.ptr = &stream}, .read_callback = Callbacks::on_read};
  stream.id_ = nghttp2_submit_request(session_, nullptr, fields_.data(), fields_.size(),
                                      ends ? nullptr : &content, &stream);
}

bool H2Session::serves_web_sockets() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

size_t H2Session::most_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void H2Session::send_trailers(Stream& stream, std::string_view lines) {
  if (lines.size() > 2) stream.trailer_lines_.assign(lines);
  stream.outgoing.end();
}

void H2Session::resume(Stream& stream) {
  if (!stream.waits_) return;
  stream.waits_ = false;
  nghttp2_session_resume_data(session_, stream.id_);
}

void H2Session::reset(Stream& stream, H2Error error) {
  stream.is_reset_ = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, static_cast<uint32_t>(error));
}

// ---- how it ends

void H2Session::ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

void H2Session::give_notice() {
  nghttp2_submit_shutdown_notice(session_);
  ping();
}

void H2Session::go_away() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

void H2Session::go_away(H2Error error) {
  nghttp2_session_terminate_session(session_, static_cast<uint32_t>(error));
  broken_ = true;
}

}  // namespace limpet::http
