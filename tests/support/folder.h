// A folder of a test's own, which goes with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#ifdef __SANITIZE_THREAD__
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

namespace limpet::test {

struct Folder {
  Folder() {
    char name[] = "/tmp/limpet-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() {
    // ThreadSanitizer sees neither libuv close a descriptor nor the folder be opened, which may get its
    // number.
#ifdef __SANITIZE_THREAD__
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
    std::filesystem::remove_all(path);
#ifdef __SANITIZE_THREAD__
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
  }
  std::string file(const char* name) const { return path + "/" + name; }
  std::string path;
};

inline std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace limpet::test
