#include "conf/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
  // One byte more than it has, by which its end is seen. Nothing is copied on the way: it may be a secret.
  file.text.resize(std::min(most, static_cast<size_t>(status.st_size) + 1));
  size_t size = 0;
  ssize_t got = 1;
  while (size < most && got > 0) {
    if (size == file.text.size()) file.text.resize(std::min(most, 2 * size));  // it grows meanwhile
    got = ::read(fd, file.text.data() + size, file.text.size() - size);
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
