#include "src/net/small_files.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace limpet::net {

namespace {

std::optional<std::string> content_of(const std::string& path, int& error) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe keeps nobody waiting
  if (fd < 0) {
    error = errno;
    return std::nullopt;
  }
  struct stat about{};
  std::optional<std::string> content;
  if (::fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
    content.emplace(SmallFiles::kMost + 1, '\0');
    const ssize_t size = ::read(fd, content->data(), content->size());
    if (size < 0 || static_cast<size_t>(size) > SmallFiles::kMost) {
      content.reset();
    } else {
      content->resize(static_cast<size_t>(size));
    }
  }
  ::close(fd);
  return content;
}

}  // namespace

struct UvSmallFiles::Job {
  uv_work_t work;
  UvSmallFiles* home;  // nullptr: it is gone
  FileReader* reader;  // nullptr: nobody wants it any more
  std::string path;
  std::optional<std::string> content;
  int error = 0;  // of opening it
};

UvSmallFiles::~UvSmallFiles() {
  for (Job* job : jobs_) job->home = nullptr;
}

void UvSmallFiles::read(const std::string& path, FileReader& reader) {
  auto* const job = jobs_.emplace_back(new Job{{}, this, &reader, path, std::nullopt, 0});
  job->work.data = job;
  uv_queue_work(
      loop_, &job->work,
      [](uv_work_t* work) {
        auto& self = *static_cast<Job*>(work->data);
        self.content = content_of(self.path, self.error);
      },
      [](uv_work_t* work, int) {
        auto* const self = static_cast<Job*>(work->data);
        if (self->home != nullptr) {
          std::erase(self->home->jobs_, self);
          if (self->error != 0 && self->error != ENOENT && self->home->log_.is_time())
            spdlog::warn("{} cannot be opened: {}", self->path, std::strerror(self->error));
          if (self->reader != nullptr) self->reader->on_file(std::move(self->content));
        }
        delete self;
      });
}

void UvSmallFiles::forget(FileReader& reader) {
  for (Job* job : jobs_)
    if (job->reader == &reader) job->reader = nullptr;
}

}  // namespace limpet::net
