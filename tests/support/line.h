// What a peer of the proxy says and hears by, in terms of HTTP/1.1 whatever is spoken: here a connection of
// its own, over which that goes as it is.
#pragma once

#include <string>
#include <string_view>

#include "tests/support/fake_net.h"

namespace limpet::test {

class Line {
 public:
  explicit Line(FakeStream& its_stream) : stream(its_stream) {}
  virtual ~Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  FakeStream& stream;  // the connection, which may be others' too

  virtual void say(std::string_view text) { stream.say(text); }
  virtual void end() { stream.end(); }  // the peer has nothing more to say
  virtual void abort() { stream.abort(); }
  // All that has come.
  virtual const std::string& received() const { return stream.received; }
  virtual std::string fault() const { return {}; }  // of what has come, which is no HTTP at all
  // More may come.
  virtual bool is_open() const { return stream.open() && !stream.finished(); }
  virtual bool has_ended_in_order() const { return stream.end_seen == FakeStream::End::orderly; }
  // Grows when more of what was said has been read.
  virtual size_t heard() const { return stream.read_bytes(); }
  // The peer has said that it has not looked at its request.
  virtual bool is_disowned() const { return false; }
};

}  // namespace limpet::test
