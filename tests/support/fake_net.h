// A network without sockets, so that the proxy's own code runs one event at a time, in the order a test says.
//
// FakeStream is one connection seen from its peer: what the peer sends reaches the code under test only when
// the test lets the loop read, what the code writes reaches the peer as far as there is room. Time stands
// still until pass(). Whatever the code under test may not do with a stream is noted in FakeNet::fault. What
// it writes goes out at once, or at the end of a turn of several events.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/net/polls.h"
#include "src/net/small_files.h"
#include "src/net/stream.h"
#include "src/proxy/backend_connections.h"
#include "src/proxy/clock.h"

namespace limpet::test {

inline constexpr size_t kAll = static_cast<size_t>(-1);

class FakeNet;

class FakeStream final : public net::Stream {
 public:
  enum class End : uint8_t { open, orderly, reset };

  FakeStream(FakeNet& net, const conf::Address* address, net::StreamOwner* owner, unsigned index = 0)
      : net_(net), index_(index), owner_(owner), connecting_(address != nullptr) {
    if (address != nullptr) address_ = *address;
  }

  // ---- the peer's side
  const conf::Address* address() const {
    return address_ ? &*address_ : nullptr;
  }  // that was dialled; nullptr: a client's connection
  unsigned index() const { return index_; }  // of the address among those of its name
  bool connecting() const { return connecting_ && open(); }
  bool open() const { return !closed_; }       // the code under test has not closed it
  bool finished() const { return finished_; }  // the code under test sends no more
  bool paused() const { return paused_; }
  size_t unread() const { return unread_.size(); }
  size_t read_bytes() const { return read_bytes_; }  // that the code under test has read
  bool aborted() const { return aborted_; }

  std::string received;      // all that has reached the peer
  End end_seen = End::open;  // how, after that, the peer saw the connection end
  int number = 3;            // of its descriptor
  size_t room = kAll;        // how much of a write goes out at once; the rest is queued
  bool early = false;        // what the peer sends may be a copy

  void connect();                          // what was dialled is connected
  void refuse(int error = -ECONNREFUSED);  // or not
  void say(std::string_view bytes) { unread_.append(bytes); }
  void end() { ended_ = true; }                   // the peer has sent its last byte
  void abort() { aborted_ = true; }               // the peer resets: it takes nothing more
  bool can_read() const;                          // the loop would read now
  void read(size_t most = net::Loop::kReadSize);  // one read
  void drain(size_t most = kAll);                 // the peer takes what is queued

  void sends(std::string_view bytes) {  // and all of it is read
    say(bytes);
    read_all();
  }
  void sends_end() {
    end();
    read_all();
  }
  void sends_abort() {
    abort();
    read_all();
  }
  void read_all() {
    while (can_read()) read();
  }

  // ---- the code under test's
  void start(net::StreamOwner* owner) override { owner_ = owner; }
  bool write(std::span<const iovec> parts) override;
  size_t queued() const override;
  void mark() override { sent_since_mark_ = false; }
  bool has_sent_since_mark() const override { return is_live("has_sent_since_mark") && sent_since_mark_; }
  void pause() override;
  void resume() override;
  bool is_early() const override { return early; }
  int descriptor() const override { return number; }
  void finish() override;
  void close() override;
  void reset() override;

  bool post();  // what is gathered; false: the peer takes no more

 private:
  bool is_live(const char* call) const;
  void deliver(const char* bytes, size_t size);
  void finish_if_drained();
  bool send(const char* bytes, size_t size);

  FakeNet& net_;
  const unsigned index_;
  std::optional<conf::Address> address_;
  net::StreamOwner* owner_;
  bool closed_ = false;
  std::string unread_;  // said and not yet read
  std::string queued_;
  std::string gathered_;  // for the turn's end
  size_t read_bytes_ = 0;
  bool connecting_;
  bool paused_ = false;
  bool ended_ = false;
  bool aborted_ = false;
  bool end_told_ = false;
  bool write_broken_ = false;
  bool sent_since_mark_ = false;
  bool finished_ = false;
};

// The loop, the clock and whoever answers a dial.
class FakeNet final : public net::Deadlines::Alarm,
                      public proxy::Dialer,
                      public proxy::Clock,
                      public net::SmallFiles {
 public:
  static constexpr uint64_t kEpochUs = uint64_t{1'700'000'000} * 1'000'000;

  net::Deadlines deadlines{*this};
  net::Graveyard graveyard;
  net::Polls polls;
  std::vector<std::unique_ptr<FakeStream>> streams;
  std::vector<std::pair<std::string, net::FileReader*>> files_asked;  // that nobody has been told of
  std::function<void()> after_event;  // called after each, with nothing under way
  std::string fault;                  // the first thing that the code under test should not have done
  unsigned addresses = 1;             // of every backend
  unsigned bad_addresses = 0;         // the first ones: a dial fails before it begins
  bool can_dial = true;               // otherwise a dial fails before it begins
  int dial_error = 0;                 // and says so
  unsigned events_in_turn = 1;        // with more, writes wait for the turn's end

  FakeStream& accept() {
    streams.push_back(std::make_unique<FakeStream>(*this, nullptr, nullptr));
    return *streams.back();
  }

  // The index-th connection that was dialled.
  FakeStream& dialed(size_t index) {
    for (const auto& stream : streams) {
      if (stream->address() != nullptr && index-- == 0) return *stream;
    }
    throw std::out_of_range("so many connections were not dialled");
  }
  size_t dials() const {
    return static_cast<size_t>(std::count_if(
        streams.begin(), streams.end(), [](const auto& stream) { return stream->address() != nullptr; }));
  }

  // Lets the time go by, and fires what falls due, each in its time.
  void pass(net::Millis duration) {
    const net::Millis until = now_ + duration;
    while (alarm_ <= until) {
      now_ = std::max(now_, alarm_);
      alarm_ = net::kNever;
      deadlines.advance();
      event_over();
    }
    now_ = until;
  }

  void event_over() {
    graveyard.clear();
    if (!polls_again_ && ++events_ >= events_in_turn) end_turn();
    if (after_event) after_event();
  }
  // All that a poll brought has been handled. Where that is waited for, another poll brings what is there.
  void end_turn() {
    events_ = 0;
    for (;;) {
      polls.end();
      graveyard.clear();
      for (size_t i = 0; i < streams.size(); ++i) streams[i]->post();
      if (!polls.awaited()) return;
      polls_again_ = true;
      for (size_t i = 0; i < streams.size(); ++i) streams[i]->read();
      polls_again_ = false;
    }
  }
  void note(std::string what) {
    if (fault.empty()) fault = std::move(what);
  }

  net::Millis now() const override { return now_; }
  void wake_at(net::Millis due) override { alarm_ = due; }
  uint64_t monotonic_us() override { return now_ * 1000; }
  uint64_t unix_us() override { return kEpochUs + now_ * 1000; }
  net::StreamPtr dial(const conf::Address& address, unsigned index, net::StreamOwner* owner,
                      int& error) override {
    const bool fails = !can_dial || index < bad_addresses;
    error = fails && index < addresses ? dial_error : 0;
    if (fails || index >= addresses) return nullptr;
    streams.push_back(std::make_unique<FakeStream>(*this, &address, owner, index));
    return net::StreamPtr(streams.back().get());
  }
  size_t count(const conf::Address&) const override { return addresses; }

  // The disk answers for the file that was asked for first.
  void read_file(std::optional<std::string> content) {
    net::FileReader* const reader = files_asked.front().second;
    files_asked.erase(files_asked.begin());
    reader->on_file(std::move(content));
    event_over();
  }

 private:
  void read(const std::string& path, net::FileReader& reader) override {
    files_asked.emplace_back(path, &reader);
  }
  void forget(net::FileReader& reader) override {
    std::erase_if(files_asked, [&](const auto& asked) { return asked.second == &reader; });
  }
  unsigned events_ = 0;
  bool polls_again_ = false;
  net::Millis now_ = 1'000'000;
  net::Millis alarm_ = net::kNever;
};

// ---- the peer's side

inline void FakeStream::connect() {
  if (!connecting()) return;
  connecting_ = false;
  owner_->on_connected();
  net_.event_over();
}

inline void FakeStream::refuse(int error) {
  if (!connecting()) return;
  connecting_ = false;
  aborted_ = end_told_ = true;
  owner_->on_broken(error);
  net_.event_over();
}

inline bool FakeStream::can_read() const {
  if (!open() || connecting_ || paused_) return false;
  return !unread_.empty() || ((ended_ || aborted_) && !end_told_);
}

inline void FakeStream::read(size_t most) {
  if (!can_read()) return;
  if (!unread_.empty()) {
    const size_t size = std::min({most, unread_.size(), net::Loop::kReadSize});
    // In a block of its own size, freed at once: a view that outlives the call is found by AddressSanitizer.
    const std::unique_ptr<char, void (*)(void*)> block(static_cast<char*>(std::malloc(size)), std::free);
    std::copy_n(unread_.data(), size, block.get());
    unread_.erase(0, size);
    read_bytes_ += size;
    owner_->on_bytes({block.get(), size});
  } else {
    end_told_ = true;
    if (aborted_) {
      owner_->on_broken(-ECONNRESET);
    } else {
      owner_->on_end();
    }
  }
  net_.event_over();
}

inline void FakeStream::drain(size_t most) {
  if (!open() || queued_.empty()) return;
  if (aborted_) {
    queued_.clear();
    write_broken_ = true;
  } else {
    const size_t size = std::min(most, queued_.size());
    deliver(queued_.data(), size);
    queued_.erase(0, size);
    if (!queued_.empty()) return;
  }
  finish_if_drained();
  owner_->on_drained();
  net_.event_over();
}

// ---- the code under test's

inline bool FakeStream::is_live(const char* call) const {
  if (open()) return true;
  net_.note(std::string(call) + " on a closed stream");
  return false;
}

inline void FakeStream::deliver(const char* bytes, size_t size) { received.append(bytes, size); }

inline bool FakeStream::write(std::span<const iovec> parts) {
  if (!is_live("write")) return false;
  if (connecting_) net_.note("write on a stream that is not connected");
  if (finished_) net_.note("write on a stream that was finished");
  if (parts.empty()) net_.note("write of nothing");
  if (write_broken_) return false;
  const bool waits = net_.events_in_turn > 1 && queued_.empty();
  for (const iovec& part : parts) gathered_.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return waits || post();
}

inline bool FakeStream::send(const char* bytes, size_t size) {
  if (aborted_ && queued_.empty()) {
    write_broken_ = true;
    return false;
  }
  sent_since_mark_ = true;
  const size_t sent = queued_.empty() ? std::min(room, size) : 0;
  deliver(bytes, sent);
  queued_.append(bytes + sent, size - sent);
  return true;
}

inline bool FakeStream::post() {
  if (gathered_.empty() || !open()) return true;
  const bool sent = send(gathered_.data(), gathered_.size());
  gathered_.clear();
  return sent;
}

inline size_t FakeStream::queued() const { return is_live("queued") ? queued_.size() : 0; }

inline void FakeStream::pause() {
  if (is_live("pause")) paused_ = true;
}

inline void FakeStream::resume() {
  if (!is_live("resume")) return;
  if (paused_ && ended_ && !aborted_) end_told_ = false;  // as libuv does when reading begins anew
  paused_ = false;
}

inline void FakeStream::finish() {
  if (!is_live("finish")) return;
  post();
  finished_ = true;
  finish_if_drained();
}

inline void FakeStream::finish_if_drained() {
  if (finished_ && queued_.empty() && !write_broken_ && end_seen == End::open) end_seen = End::orderly;
}

// A kernel that closes a socket whose peer's bytes were not all read tells the peer by a reset.
inline void FakeStream::close() {
  if (!is_live("close")) return;
  gathered_.clear();
  owner_ = nullptr;
  closed_ = true;
  if (end_seen == End::open) end_seen = unread_.empty() ? End::orderly : End::reset;
}

inline void FakeStream::reset() {
  if (!is_live("reset")) return;
  gathered_.clear();
  owner_ = nullptr;
  closed_ = true;
  end_seen = End::reset;
}

}  // namespace limpet::test
