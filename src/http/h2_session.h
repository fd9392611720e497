// One HTTP/2 connection without its stream (RFC 9113): bytes in, events and bytes out. The only place that
// knows nghttp2, which keeps the protocol: states, flow control, HPACK, and what is malformed.
//
// Windows open only as bytes are consumed, so a stream whose content nobody takes holds no more than its
// window. That widens while content is taken as it comes: a distant peer has much on its way. Peers that make
// work and ask for nothing are told to go: see H2Budget.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/http/h2_abuse.h"
#include "src/http/h2_head.h"
#include "src/http/h2_outgoing.h"
#include "src/net/gather.h"

namespace limpet::http {

// RFC 9113, section 7: those that are sent or looked at here.
enum class H2Error : uint32_t {
  none = 0,
  protocol = 1,
  internal = 2,
  refused_stream = 7,
  cancel = 8,
  enhance_your_calm = 11,
};
const char* text(H2Error error);  // "REFUSED_STREAM"; also of those that are not named here

class H2Session {
 public:
  // What the owner keeps of one stream. No event comes after on_closed().
  class Stream {
   public:
    virtual void on_head(bool has_content) = 0;  // `head` is whole; interim ones of an answer as well
    virtual void on_content(std::string_view piece) = 0;  // to be consume()d once it is done with
    virtual void on_content_end() = 0;                    // `trailers` are those that came
    // By either side, or both have ended. `malformed`: what came breaks the protocol.
    virtual void on_closed(H2Error error, bool malformed) = 0;

    int32_t id() const { return id_; }
    bool is_malformed() const { return is_malformed_; }  // something came, and it breaks the protocol

    H2Head head, trailers;
    H2Outgoing outgoing;
    bool is_tunnel = false;  // whose sides end each by itself

   protected:
    ~Stream() = default;
    void clear();  // before it is used for another

   private:
    friend class H2Session;
    int32_t id_ = 0;         // 0: in no session
    bool has_head_ = false;  // a final one has come whole
    bool is_malformed_ = false;
    bool is_reset_ = false;  // by the peer, or by the owner
    bool remote_ended_ = false;
    bool waits_ = false;   // nghttp2 has found nothing to send, and asks again once it is told
    uint32_t window_ = 0;  // bytes
    size_t taken_ = 0;     // bytes, one after the other as they came
    size_t untaken_ = 0;   // bytes that were told and are not consumed
    std::string trailer_lines_;
  };

  class Owner {
   public:
    virtual Stream* on_new_stream() { return nullptr; }  // a server's: a request begins to come
    virtual void on_abuse(H2Abuse) {}                    // a server's: the connection ends for it
    virtual void on_ping_answered() = 0;
    virtual void on_settings() {}       // a client's: the server's have come
    virtual void on_goaway(H2Error) {}  // a client's: the server takes no more streams

   protected:
    ~Owner() = default;
  };

  enum class Role : uint8_t { server, client };
  struct Settings {
    uint32_t streams = 100;  // at once, that a client may have
    HeadLimits head;
    uint32_t stream_window = 64 * 1024;       // bytes
    uint32_t connection_window = 256 * 1024;  // bytes
  };

  H2Session(Role role, Owner& owner, const Settings& settings, uint64_t now_ms);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // A server's: these limits hold from the next head on, and a client that was told of others is told of
  // them.
  void limit(uint32_t streams, const HeadLimits& heads);

  // Takes what came. Streams' events, and the owner's, happen within; none of them may call send().
  // False: the connection is beyond help, and has said so.
  bool feed(std::string_view bytes, uint64_t now_ms);
  bool is_feeding() const { return feeding_; }
  // To a server: a request's head has begun to come and is not whole.
  bool is_in_head() const { return in_head_ != nullptr; }

  // Sends what may leave now by `carrier`, a net::Stream, for as long as that does not lag. It is `broken`
  // once it takes no more, which streams' events within may look at. `scratch` is empty before and after.
  template <class Carrier>
  void send(Carrier& carrier, net::Gather& scratch, bool& broken) {
    while (!broken && carrier.queued() == 0) {
      gather(scratch);
      const bool is_all = scratch.empty();
      broken = !is_all && !carrier.write(scratch.parts());
      scratch.clear();
      sent();
      if (is_all) return;
    }
  }
  // The peer, or we, have said that it is over, and all that had to leave has been gathered.
  bool is_over() const;

  // An answer's head, as lines of HTTP/1 with a status line before them. Content follows by `outgoing` and
  // resume(), unless it `ends` here; not for an interim one.
  void send_interim(Stream& stream, int status, std::string_view head);
  void send_head(Stream& stream, int status, std::string_view head, bool ends);
  void send_trailers(Stream& stream, std::string_view lines);  // behind all content; ends the stream
  // A client's. The head as HTTP/1 has it, with a request line.
  // An `upgrade` to a WebSocket becomes what RFC 8441 says.
  void send_request(Stream& stream, std::string_view scheme, std::string_view head, bool ends,
                    bool upgrade = false);
  bool has_settings() const { return has_settings_; }  // of the server
  bool serves_web_sockets() const;                     // by these
  size_t most_streams() const;                         // that the server takes at once
  size_t streams_left() const;                         // to begin: numbers end (RFC 9113, section 5.1.1)
  void resume(Stream& stream);                         // `outgoing` has more, or has ended
  void reset(Stream& stream, H2Error error);
  void consume(Stream& stream, size_t bytes);  // its sender may send as many more
  // The same of what was taken as it came. A whole window of that doubles the window, up to kWidest.
  void consume_at_once(Stream& stream, size_t bytes);
  void forget(Stream& stream);  // nothing more is told of it

  // In two steps, so that no request is lost (section 6.8): a notice, and once that has arrived, which
  // on_ping_answered() tells, the last stream that is served.
  void ping();
  void give_notice();
  void go_away();
  void go_away(H2Error error);  // at once; what is under way is cut

  bool is_broken() const { return broken_; }

 private:
  static constexpr size_t kMostAtOnce = 64 * 1024;  // bytes of one write, about
  static constexpr uint32_t kWidest = 1024 * 1024;  // bytes

  struct Callbacks;
  friend struct Callbacks;
  static const nghttp2_session_callbacks* callbacks();
  static const nghttp2_option* options();
  static nghttp2_data_provider content_of(Stream& stream);

  // Adds what may leave now, about kMostAtOnce of it. It refers to streams' content until sent().
  void gather(net::Gather& out);
  void sent();
  void count(H2Abuse abuse);
  void give_back(Stream& stream, size_t bytes);
  void widen(Stream& stream);
  Stream* find(int32_t id) const;
  void begin_fields(int status);
  void add_field(std::string_view name, std::string_view value);
  void add_lines(std::string_view lines);  // up to the empty one

  Owner& owner_;
  const Role role_;
  HeadLimits limits_;
  uint32_t streams_;              // at once, as the client was told
  const uint32_t stream_window_;  // that each begins with
  const uint32_t connection_window_;
  uint32_t widest_;  // window of a stream
  nghttp2_session* session_ = nullptr;
  std::vector<nghttp2_nv> fields_;                   // that are about to be sent
  std::array<char, 3> status_{};                     // one of them
  std::vector<Stream*> sent_;                        // streams whose content was gathered
  std::vector<std::pair<Stream*, H2Error>> closed_;  // while gathering
  Stream* in_head_ = nullptr;
  Stream* fields_of_ = nullptr;  // of the head or the trailers that are coming, or came last
  net::Gather* out_ = nullptr;   // while gathering
  H2Budget budget_;
  uint64_t now_ms_;
  bool feeding_ = false;
  bool has_settings_ = false;
  bool broken_ = false;
};

}  // namespace limpet::http
