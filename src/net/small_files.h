// Small files, read without making the loop wait for a disk.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "src/net/now_and_then.h"

namespace limpet::net {

class FileReader {
 public:
  // What is in the file; nothing where it cannot be read, is no plain file, or holds more than it may.
  virtual void on_file(std::optional<std::string> content) = 0;

 protected:
  ~FileReader() = default;
};

class SmallFiles {
 public:
  static constexpr size_t kMost = 16 * 1024;  // bytes

  // on_file() follows, never from within this call, unless forget() comes first.
  virtual void read(const std::string& path, FileReader& reader) = 0;
  virtual void forget(FileReader& reader) = 0;

 protected:
  ~SmallFiles() = default;
};

// By libuv's threads. Outlived by the loop, which finishes what is under way. The log tells of files that are
// there and cannot be opened.
class UvSmallFiles final : public SmallFiles {
 public:
  explicit UvSmallFiles(uv_loop_t* loop) : loop_(loop) {}
  ~UvSmallFiles();
  UvSmallFiles(const UvSmallFiles&) = delete;
  UvSmallFiles& operator=(const UvSmallFiles&) = delete;

  void read(const std::string& path, FileReader& reader) override;
  void forget(FileReader& reader) override;

 private:
  struct Job;
  uv_loop_t* const loop_;
  NowAndThen log_{std::chrono::seconds(10)};
  std::vector<Job*> jobs_;  // under way; each frees itself
};

}  // namespace limpet::net
