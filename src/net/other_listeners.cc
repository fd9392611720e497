#include "src/net/other_listeners.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "conf/ascii.h"
#include "conf/ip_address.h"

namespace limpet::net {
namespace {

// What a socket is bound to.
struct Place {
  conf::IpAddress address{};
  uint16_t port = 0;
  bool is_any = false;  // every address of these families:
  bool v4 = false, v6 = false;
};

Place at(const conf::IpAddress& address, uint16_t port) {
  Place place{address, port};
  place.v4 = address.is_v4();
  place.v6 = !place.v4;
  place.is_any = std::all_of(address.bytes.begin() + (place.v4 ? 12 : 0), address.bytes.end(),
                             [](uint8_t byte) { return byte == 0; });
  return place;
}

Place at(const conf::Address& address) {
  const bool everywhere = address.host == "*";
  Place place =
      at(conf::IpAddress::parse(everywhere ? "::" : address.host).value_or(conf::IpAddress{}), address.port);
  place.v4 = place.v4 || everywhere;
  return place;
}

bool overlap(const Place& a, const Place& b) {
  if (a.port != b.port || !((a.v4 && b.v4) || (a.v6 && b.v6))) return false;
  return a.is_any || b.is_any || a.address == b.address;
}

// "0100007F:1F90": as many words of the address as it has, each as this machine holds it, and the port.
std::optional<Place> parse_place(std::string_view text) {
  constexpr size_t kWord = 8;  // digits
  const size_t colon = text.find(':');
  if (colon != kWord && colon != 4 * kWord) return std::nullopt;
  const auto port = whole_number<uint16_t>(text.substr(colon + 1), 16);
  if (!port) return std::nullopt;
  uint32_t words[4] = {0, 0, htonl(0xffff), 0};  // of an IPv4-mapped one
  const size_t first = colon == kWord ? 3 : 0;
  for (size_t i = first; i < 4; ++i) {
    const auto word = whole_number<uint32_t>(text.substr((i - first) * kWord, kWord), 16);
    if (!word) return std::nullopt;
    words[i] = *word;
  }
  conf::IpAddress address;
  std::memcpy(address.bytes.data(), words, sizeof words);
  Place place = at(address, *port);
  if (place.v6 && place.is_any) place.v4 = true;  // most likely; the table does not say
  return place;
}

// As in "socket:[1234]". A socket that is closed afterwards does no harm here.
std::optional<std::vector<std::string>> own_sockets() {
  std::vector<std::string> inodes;
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error)) {
    std::error_code is_closed;
    const std::string name = std::filesystem::read_symlink(at->path(), is_closed).string();
    if (!is_closed && name.starts_with("socket:[")) inodes.push_back(name.substr(8, name.size() - 9));
  }
  if (error) return std::nullopt;
  return inodes;
}

// The kernel's tables of TCP sockets, which begin with those that listen (proc_pid_net(5)): number, local and
// remote address, state, queues, timer, retransmits, user, timeout, inode.
enum class Found { nobody, somebody, unknown };
Found look_in(const char* table, const Place& place, const std::vector<std::string>& own) {
  std::ifstream file(table);
  std::string line;
  if (!std::getline(file, line)) return Found::unknown;  // the heading
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, other, inode;
    fields >> number >> local >> remote >> state;
    if (state != "0A") break;  // TCP_LISTEN
    for (int i = 0; i < 5; ++i) fields >> other;
    fields >> inode;
    const std::optional<Place> listens = parse_place(local);
    if (!listens || !fields) return Found::unknown;
    if (overlap(*listens, place) && std::find(own.begin(), own.end(), inode) == own.end())
      return Found::somebody;
  }
  return Found::nobody;
}

}  // namespace

bool others_listen(const conf::Address& address) {
  const auto own = own_sockets();  // first, so that none of them is taken for another's
  if (!own) return true;
  const Place place = at(address);
  if (place.v4 && look_in("/proc/self/net/tcp", place, *own) != Found::nobody) return true;
  // A machine without IPv6 has no table of it; a socket for both families stands in the one of IPv6.
  std::error_code error;
  if (!std::filesystem::exists("/proc/self/net/tcp6", error)) return false;
  return look_in("/proc/self/net/tcp6", place, *own) != Found::nobody;
}

}  // namespace limpet::net
