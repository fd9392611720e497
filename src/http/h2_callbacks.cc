// What nghttp2 tells of a session, frame by frame, and the content that it asks for.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <new>

#include "src/http/h2_octets.h"
#include "src/http/h2_session.h"

namespace limpet::http {

namespace {

constexpr uint32_t kMostSettings = 32;  // in one frame
// Of one head that is sent. nghttp2 would send none of more than 64 KiB, and say nothing: what is sent here
// has come within the limits of the other side.
constexpr size_t kMostSent = 64 * 1024 * 1024;

}  // namespace

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
      stream->untaken_ += size;
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
};

const nghttp2_session_callbacks* H2Session::callbacks() {
  static const nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* callbacks = nullptr;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::on_begin_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, Callbacks::on_unknown_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, Callbacks::on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, Callbacks::on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, Callbacks::on_send_data);
    return callbacks;
  }();
  return made;
}

const nghttp2_option* H2Session::options() {
  static const nghttp2_option* const made = [] {
    nghttp2_option* option = nullptr;
    if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, kMostSettings);
    nghttp2_option_set_max_send_header_block_length(option, kMostSent);
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= 255; ++type) {
      if (type != NGHTTP2_PRIORITY_UPDATE)
        nghttp2_option_set_user_recv_extension_type(option, static_cast<uint8_t>(type));
    }
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
    return option;
  }();
  return made;
}

nghttp2_data_provider H2Session::content_of(Stream& stream) {
  return {.source = {.ptr = &stream}, .read_callback = Callbacks::on_read};
}

}  // namespace limpet::http
