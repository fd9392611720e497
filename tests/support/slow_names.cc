// To be preloaded: names that end in ".moving.test" have the addresses that stand in the file $MOVING_NAMES.
// Names that end in ".dead.test" never resolve and never fail, as with a name server that is gone. Each that
// is asked for leaves a file of its name in the folder $ASKED_NAMES, and one with "+" behind it if it is
// asked for twice at a time.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace {

int look_up(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, found);
}

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  const std::string text = name == nullptr ? "" : name;
  if (text.ends_with(".moving.test")) {
    std::ifstream addresses(std::getenv("MOVING_NAMES"));
    int status = EAI_NONAME;
    for (std::string address; addresses >> address; found = &(*found)->ai_next)
      status = look_up(address.c_str(), service, hints, found);
    return status;
  }
  if (text.ends_with(".dead.test")) {
    std::string file = std::string(std::getenv("ASKED_NAMES")) + "/" + text;
    while (open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600) < 0) file += "+";
    for (;;) pause();
  }
  return look_up(name, service, hints, found);
}
