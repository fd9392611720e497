// A worker's connections to the backends of one pool: the idle ones, newest first, and how new ones are made.
#pragma once

#include <memory>
#include <vector>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "src/net/loop.h"
#include "src/net/polls.h"
#include "src/net/stream.h"
#include "src/net/tls_connector.h"
#include "src/net/tls_stream.h"
#include "src/proxy/backend_side.h"
#include "src/proxy/h1_backend.h"
#include "src/proxy/h2_backends.h"
#include "src/proxy/own_connections.h"

namespace limpet::proxy {

// Makes streams to addresses. A host name is looked up beforehand, never while a request waits.
class Dialer {
 public:
  // The stream is connecting: on_connected() or on_broken() follows. A name may have several addresses, which
  // `index` counts from 0. nullptr: there is no such address, or it cannot even be tried now, for the reason
  // in `error`, a negative errno.
  virtual net::StreamPtr dial(const conf::Address& address, unsigned index, net::StreamOwner* owner,
                              int& error) = 0;
  virtual size_t count(const conf::Address& address) const = 0;  // of its addresses

 protected:
  ~Dialer() = default;
};

// Hears of what backends said that no request had asked for.
class StrayListener {
 public:
  virtual void on_stray(routing::Slot slot) = 0;

 protected:
  ~StrayListener() = default;
};

class BackendConnections {
 public:
  BackendConnections(net::Deadlines& deadlines, net::Graveyard& graveyard, net::Polls& polls, Dialer& dialer,
                     StrayListener& strays, net::Gather& gathered, net::TlsRoom& tls_room);
  ~BackendConnections();
  BackendConnections(const BackendConnections&) = delete;
  BackendConnections& operator=(const BackendConnections&) = delete;

  // A connection rests until one poll has been handled since its answer, so that what its backend said beyond
  // the answer, or its end, is read before the connection is used again.
  // has_idle(): take() has one, or will if nobody else takes it.
  bool has_idle(routing::Slot slot, net::Millis most_idle, const OwnConnections& client);
  // The client's own connection, or else of those that have rested the one that was used last, when that is
  // no longer ago than `most_idle`; else nullptr.
  BackendPtr take(routing::Slot slot, net::Millis most_idle, const OwnConnections& client,
                  BackendEvents* events);
  // A new one, connecting, or nullptr, for the reason in `error`: a negative errno, or 0 where it has no
  // address. Of several addresses one that does not answer costs a part of `patience`. `preface`, if there is
  // one, is what the connection begins with: it is one client's then.
  BackendPtr dial(const routing::Backend& backend, routing::Slot slot, BackendEvents* events,
                  net::Millis patience, std::string preface, int& error);

  // How connections are made from now on; those that are not made so are not used again. nullptr: without
  // TLS.
  void connect_by(net::SharedTlsTrust trust, conf::Protocol protocol);
  void close_idle();
  // Those that hold a descriptor below this number, and belong to no client, by a reset: an orderly end would
  // hold the port for a minute.
  void give_up_idle(int below);
  // Closes the idle ones of a backend; those in use now will not be kept either.
  void retire(routing::Slot slot);

  // For its connections.
  size_t count(const conf::Address& address) const { return dialer_.count(address); }
  net::StreamPtr connect(const conf::Address& address, routing::Slot slot, unsigned index,
                         const std::string& preface, net::StreamOwner* owner,
                         int& error);  // the preface is sent before TLS; without that it is still to be sent
  bool seals() const { return tls_ != nullptr; }
  net::Gather& gathered() { return gathered_; }  // what goes out next
  net::Millis now() const { return deadlines_.now(); }
  void keep(std::unique_ptr<H1Backend> unused, net::Millis keep_alive, OwnConnections& client);
  void close(std::unique_ptr<H1Backend> used);
  void drop(H1Backend& idle);   // an idle one ended
  void stray(H1Backend& idle);  // or spoke
  H2Backends& http2() { return http2_; }
  net::Polls& polls() { return polls_; }
  void bury(std::unique_ptr<net::Mortal> ended) { graveyard_.bury(std::move(ended)); }
  void prefer(routing::Slot slot, unsigned index) { at(slot).first_address = index; }

 private:
  struct AtSlot {
    H1Backend* newest = nullptr;      // the head of the idle ones' list; owned
    H1Backend* newest_own = nullptr;  // of those that belong to clients
    H1Backend* rested = nullptr;      // the newest in the first list that had, at `looked_at`
    uint64_t looked_at = 0;
    uint32_t retired = 0;                      // how often
    unsigned first_address = 0;                // the one that connected last
    std::unique_ptr<net::TlsSession> session;  // with TLS
  };
  AtSlot& at(routing::Slot slot) {
    if (slot >= slots_.size()) slots_.resize(slot + size_t{1});
    return slots_[slot];
  }
  void close_idle(AtSlot& slot);
  bool has_rested(const H1Backend& idle) const;
  H1Backend* newest_rested(AtSlot& slot);
  bool is_fresh(const H1Backend* idle, net::Millis most_idle) const;
  void unlink(H1Backend& idle);
  H1Backend*& newest_of(const H1Backend& idle);  // of the list that it is in

  net::Deadlines& deadlines_;
  net::Graveyard& graveyard_;
  net::Polls& polls_;
  Dialer& dialer_;
  StrayListener& strays_;
  net::Gather& gathered_;
  net::TlsRoom& tls_room_;
  std::unique_ptr<net::TlsConnector> tls_;  // nullptr: none
  conf::Protocol protocol_ = conf::Protocol::http1;
  std::vector<AtSlot> slots_;
  H2Backends http2_;
};

}  // namespace limpet::proxy
