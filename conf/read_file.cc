#include "conf/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace limpet::conf {
namespace {

void read(int fd, size_t most, FileText& file) {
  struct stat status{};
  if (::fstat(fd, &status) == 0) file.mode = status.st_mode & 07777;
  if (S_ISDIR(status.st_mode)) {
    file.wrong = "is a folder";
  } else if (!S_ISREG(status.st_mode)) {
    file.wrong = "is no regular file";
  }
  if (!file.wrong.empty()) return;
  file.text.resize(most);
  size_t size = 0;
  ssize_t got = 1;
  while (size < most && got > 0) {
    got = ::read(fd, file.text.data() + size, most - size);
    if (got > 0) size += static_cast<size_t>(got);
    if (got < 0 && errno == EINTR) got = 1;
  }
  file.text.resize(size);
  if (got < 0) file.wrong = std::string("cannot be read: ") + std::strerror(errno);
}

}  // namespace

FileText read_file(const std::string& path, size_t most) {
  FileText file;
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    file.error = errno;
    file.wrong = std::string("cannot be opened: ") + std::strerror(file.error);
    return file;
  }
  read(fd, most, file);
  ::close(fd);
  return file;
}

}  // namespace limpet::conf
