// The TLS handshakes under way at one worker, and the bound on their number.
//
// Beyond it the one that began first is given up, and not the one that comes: whoever is about to finish has
// begun a round trip ago, so the first is most likely one that does not mean to. To wait, or to be refused,
// would hand every new client over to whoever opens that many connections and says nothing.
#pragma once

#include <cstdint>

namespace limpet::proxy {

class Handshake;

class Handshakes {
 public:
  void begin(Handshake& handshake, uint32_t most);
  void end(Handshake& handshake);  // may have ended already
  uint32_t count() const { return count_; }

 private:
  Handshake* first_ = nullptr;  // the head of a list
  Handshake* last_ = nullptr;
  uint32_t count_ = 0;
};

class Handshake {
 public:
  virtual void give_up() = 0;  // and end()

 protected:
  ~Handshake() = default;

 private:
  friend class Handshakes;
  Handshake* next_ = nullptr;  // neighbours in the list
  Handshake* prev_ = nullptr;
  bool under_way_ = false;
};

}  // namespace limpet::proxy
