#include "src/http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <new>
#include <utility>

#include "src/http/h2_octets.h"

namespace limpet::http {

namespace {

// What belongs to one connection has no place here (RFC 9113, section 8.2.2); Host is :authority.
constexpr FieldSet kNotInHttp2{
    FieldName::host,    FieldName::connection,        FieldName::keep_alive, FieldName::proxy_connection,
    FieldName::upgrade, FieldName::transfer_encoding, FieldName::hop_by_hop};

constexpr uint32_t kLastStream = 0x7fff'ffff;

bool is_host(std::string_view line) { return field_name(line.substr(0, line.find(':'))) == FieldName::host; }

// What RFC 8441 leaves out, section 5.
bool is_of_handshake(std::string_view name) {
  return equals_ignoring_case(name, "sec-websocket-key") ||
         equals_ignoring_case(name, "sec-websocket-accept");
}

}  // namespace

const char* text(H2Error error) { return nghttp2_http2_strerror(static_cast<uint32_t>(error)); }

H2Session::H2Session(Role role, Owner& owner, const Settings& settings, uint64_t now_ms)
    : owner_(owner),
      role_(role),
      limits_(settings.head),
      streams_(settings.streams),
      stream_window_(settings.stream_window),
      connection_window_(settings.connection_window),
      widest_(settings.stream_window),
      budget_(now_ms),
      now_ms_(now_ms) {
  const auto make = role == Role::server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
  if (make(&session_, callbacks(), this, options()) != 0) throw std::bad_alloc();
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

void H2Session::limit(uint32_t streams, const HeadLimits& heads) {
  if (streams == streams_ && heads == limits_) return;
  streams_ = streams;
  limits_ = heads;
  const std::array<nghttp2_settings_entry, 2> entries{
      {{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(heads.head)},
       {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
}

void H2Session::Stream::clear() {
  id_ = 0;
  taken_ = untaken_ = 0;
  has_head_ = is_malformed_ = is_reset_ = remote_ended_ = waits_ = is_tunnel = false;
  trailer_lines_.clear();
  outgoing.clear();
  head.clear();
  trailers.clear();
}

H2Session::Stream* H2Session::find(int32_t id) const {
  return id == 0 ? nullptr : static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void H2Session::forget(Stream& stream) {
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  // What nobody took of it is no longer in the way of other streams.
  nghttp2_session_consume_connection(session_, std::exchange(stream.untaken_, 0));
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
  give_back(stream, bytes);
}

void H2Session::consume_at_once(Stream& stream, size_t bytes) {
  give_back(stream, bytes);
  stream.taken_ += bytes;
  if (stream.taken_ < stream.window_ || stream.window_ >= kWidest) return;
  stream.taken_ = 0;
  widen(stream);
}

// The windows' room. That of what was untaken when its stream was forgotten has been given back.
void H2Session::give_back(Stream& stream, size_t bytes) {
  if (stream.untaken_ == 0) return;
  stream.untaken_ -= bytes;
  nghttp2_session_consume(session_, stream.id_, bytes);
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
  const nghttp2_data_provider content = content_of(stream);
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
  const nghttp2_data_provider content = content_of(stream);
  stream.id_ = nghttp2_submit_request(session_, nullptr, fields_.data(), fields_.size(),
                                      ends ? nullptr : &content, &stream);
}

bool H2Session::serves_web_sockets() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

size_t H2Session::most_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

size_t H2Session::streams_left() const {
  const uint32_t next = nghttp2_session_get_next_stream_id(session_);
  return next > kLastStream ? 0 : (kLastStream - next) / 2 + 1;
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
