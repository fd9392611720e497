// Sends requests at a fixed rate whatever the answers do, and tells how long each took.
//   load PORT HEADS CONNECTIONS RATE COUNT
// HEADS is a file of whole request heads, sent in turn. Request k is due at k / RATE seconds; its time counts
// from when it was due, not from when a connection was free for it, so that a server that stalls is not
// spared the requests it held up. RATE 0: every request is due at once, and times mean nothing. Prints JSON;
// times in microseconds.
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/answer.h"
#include "tests/bench/sockets.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{20};  // without an answer, before it gives up

struct Connection {
  bench::Socket socket;
  bench::Answer answer;
  Clock::time_point due{};  // of the request in flight
};

class Load {
 public:
  Load(uint16_t port, std::vector<std::string> heads, size_t connections, double rate, size_t count)
      : port_(port), heads_(std::move(heads)), rate_(rate), count_(count), connections_(connections) {
    times_us_.reserve(count);
    for (Connection& connection : connections_) open(connection);
  }

  void run() {
    start_ = last_answer_ = Clock::now();
    epoll_event events[256];
    while (answered_ + failed_ < count_) {
      send_what_is_due();
      const timespec wait = until_next();
      const int count = ::epoll_pwait2(epoll_.fd(), events, 256, &wait, nullptr);
      for (int i = 0; i < count; i++) advance(*static_cast<Connection*>(events[i].data.ptr));
      if (Clock::now() - last_answer_ > kPatience) break;
    }
    took_ = Clock::now() - start_;
  }

  void print() {
    std::sort(times_us_.begin(), times_us_.end());
    const auto at = [&](double part) {
      if (times_us_.empty()) return 0.0f;
      return times_us_[std::min(times_us_.size() - 1,
                                static_cast<size_t>(part * static_cast<double>(times_us_.size())))];
    };
    std::printf(
        "{\"answered\": %zu, \"not_2xx\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"p50\": %.1f, \"p90\": "
        "%.1f, "
        "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
        answered_, not_2xx_, failed_ + (count_ - answered_ - failed_), took_.count(), at(0.5), at(0.9),
        at(0.99), at(0.999), at(1));
  }

 private:
  void open(Connection& connection) {
    connection = Connection{};
    connection.socket = bench::connect_to(port_);
    if (!connection.socket.is_open()) bench::die("connect");
    epoll_.add(connection.socket, &connection, EPOLLIN);
    free_.push_back(&connection);
  }

  Clock::time_point due(size_t request) const {
    if (rate_ <= 0) return start_;
    return start_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(static_cast<double>(request) / rate_));
  }

  void send_what_is_due() {
    const Clock::time_point now = Clock::now();
    while (!free_.empty() && sent_ < count_ && due(sent_) <= now) {
      Connection& connection = *free_.back();
      free_.pop_back();
      connection.due = due(sent_);
      const std::string& head = heads_[sent_++ % heads_.size()];
      const ssize_t sent = ::send(connection.socket.fd(), head.data(), head.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(head.size())) fail(connection);
    }
  }

  timespec until_next() const {
    auto wait = std::chrono::nanoseconds(std::chrono::milliseconds(100));
    if (!free_.empty() && sent_ < count_)
      wait = std::min(wait, std::chrono::nanoseconds(due(sent_) - Clock::now()));
    wait = std::max(wait, std::chrono::nanoseconds(0));
    return {0, wait.count()};
  }

  void advance(Connection& connection) {
    const ssize_t got = ::recv(connection.socket.fd(), buffer_, sizeof buffer_, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    const bool is_free = std::find(free_.begin(), free_.end(), &connection) != free_.end();
    if (got <= 0 && is_free) {  // the server closed an idle connection, as it may
      std::erase(free_, &connection);
      return open(connection);
    }
    if (got <= 0 || is_free) return fail(connection);
    using Progress = bench::Answer::Progress;
    const Progress progress = connection.answer.take({buffer_, static_cast<size_t>(got)});
    if (progress == Progress::wrong) fail(connection);
    if (progress == Progress::whole) finish(connection);
  }

  void finish(Connection& connection) {
    last_answer_ = Clock::now();
    const std::chrono::duration<float, std::micro> took = last_answer_ - connection.due;
    times_us_.push_back(took.count());
    answered_++;
    if (!connection.answer.is_2xx()) not_2xx_++;
    free_.push_back(&connection);
  }

  void fail(Connection& connection) {
    failed_++;
    std::erase(free_, &connection);
    open(connection);
  }

  const uint16_t port_;
  const std::vector<std::string> heads_;
  const double rate_;
  const size_t count_;
  bench::Epoll epoll_;
  std::vector<Connection> connections_;
  std::vector<Connection*> free_;
  size_t sent_ = 0, answered_ = 0, failed_ = 0, not_2xx_ = 0;
  Clock::time_point start_{}, last_answer_{};
  std::chrono::duration<double> took_{};
  std::vector<float> times_us_;
  char buffer_[64 * 1024];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return std::fprintf(stderr, "usage: load PORT HEADS CONNECTIONS RATE COUNT\n"), 2;
  prctl(PR_SET_TIMERSLACK, 1'000);  // nanoseconds: be on time
  bench::raise_file_limit();
  std::vector<std::string> heads = bench::read_heads(argv[2]);
  if (heads.empty()) return std::fprintf(stderr, "load: no request in %s\n", argv[2]), 1;
  const auto number = [&](int i) { return std::strtoul(argv[i], nullptr, 10); };
  auto load = std::make_unique<Load>(static_cast<uint16_t>(number(1)), std::move(heads), number(3),
                                     std::atof(argv[4]), number(5));
  load->run();
  load->print();
}
