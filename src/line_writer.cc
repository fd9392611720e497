#include "src/line_writer.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "src/signals.h"

namespace limpet {
namespace {

constexpr std::chrono::milliseconds kSlack{500};  // for the thread to end after it gave up
constexpr std::chrono::seconds kTellAgain{10};    // a notice that could not be written is tried this often
constexpr size_t kMostSpare = 64;                 // blocks kept for use again

uint64_t count_lines(const char* from, size_t size) {
  return static_cast<uint64_t>(std::count(from, from + size, '\n'));
}

const char* reason(int error) {
  if (error == 0 || error == ETIMEDOUT) return "its reader is too slow";
  if (error == ENXIO || error == EPIPE) return "it has no reader";
  return std::strerror(error);
}

}  // namespace

void LineBlock::make_room(size_t more) {
  if (capacity - size >= more) return;
  const size_t grown = std::max(kBytes, size + more);
  std::unique_ptr<char[]> larger(new char[grown]);
  if (size > 0) std::memcpy(larger.get(), bytes.get(), size);
  bytes = std::move(larger);
  capacity = grown;
}

bool LineBlock::append(const char* from, size_t count, uint64_t of_lines) {
  if (capacity - size < count) return false;
  std::memcpy(bytes.get() + size, from, count);
  size += count;
  lines += of_lines;
  return true;
}

// What the thread and those who hand lines over have in common.
class LineWriter::Work {
 public:
  Work(LineTarget target, size_t most_pending, Notice notice)
      : can_reopen_(!target.path.empty()),
        most_pending_(most_pending),
        notice_(notice),
        output_(std::move(target)) {}

  void submit(LineBlock& block);
  void submit(std::string_view text);
  void reopen();
  bool finish(std::chrono::milliseconds most);
  void run();

  uint64_t dropped() const { return dropped_; }
  int last_error() const { return last_error_; }
  int take_reopen_error() { return reopen_error_.exchange(0); }

 private:
  bool may_take(size_t capacity) const;
  void drop(uint64_t lines);
  void take(LineBlock block);
  LineBlock spare();
  void write_block(const LineBlock& block);
  void tell_missing();

  const bool can_reopen_;
  const size_t most_pending_;
  const Notice notice_;
  std::atomic<uint64_t> dropped_{0};
  std::atomic<int> last_error_{0};
  std::atomic<int> reopen_error_{0};

  std::mutex mutex_;
  std::condition_variable wake_, ended_;
  std::vector<LineBlock> pending_;  // guarded by mutex_, as is all until the next blank line
  std::vector<LineBlock> spare_;    // empty blocks to be used again
  size_t pending_bytes_ = 0;        // with those that the thread is writing
  uint64_t pending_lines_ = 0;      // likewise
  uint64_t missing_ = 0;            // dropped since a block was taken
  bool reopen_asked_ = false;
  bool stopping_ = false;
  bool has_ended_ = false;

  // The thread's own.
  LineOutput output_;
  uint64_t untold_ = 0;  // dropped, and no notice of it written yet
  int untold_error_ = 0;
};

// ---- those who hand lines over

void LineWriter::Work::submit(LineBlock& block) {
  const std::lock_guard lock(mutex_);
  if (!pending_.empty() && missing_ == 0 &&
      pending_.back().append(block.bytes.get(), block.size, block.lines)) {
    pending_lines_ += block.lines;
    return block.clear();  // the thread is awake already
  }
  if (may_take(block.capacity)) return take(std::exchange(block, spare()));
  drop(block.lines);
  block.clear();
}

void LineWriter::Work::submit(std::string_view text) {
  const uint64_t lines = count_lines(text.data(), text.size());
  const std::lock_guard lock(mutex_);
  if (!pending_.empty() && missing_ == 0 && pending_.back().append(text.data(), text.size(), lines)) {
    pending_lines_ += lines;
    return;
  }
  if (!may_take(std::max(text.size(), LineBlock::kBytes))) return drop(lines);
  LineBlock block = spare();
  block.make_room(text.size());
  block.append(text.data(), text.size(), lines);
  take(std::move(block));
}

bool LineWriter::Work::may_take(size_t capacity) const {
  return !stopping_ && (pending_bytes_ == 0 || pending_bytes_ + capacity <= most_pending_);
}

void LineWriter::Work::drop(uint64_t lines) {
  missing_ += lines;
  dropped_ += lines;
  last_error_ = 0;
}

void LineWriter::Work::take(LineBlock block) {
  block.missing = std::exchange(missing_, 0);
  pending_bytes_ += block.capacity;
  pending_lines_ += block.lines;
  pending_.push_back(std::move(block));
  wake_.notify_one();
}

LineBlock LineWriter::Work::spare() {
  if (spare_.empty()) return {};
  LineBlock block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

void LineWriter::Work::reopen() {
  if (!can_reopen_) return;
  const std::lock_guard lock(mutex_);
  reopen_asked_ = true;
  wake_.notify_one();
}

// False: the thread does not come to its end, and nobody may wait for it.
bool LineWriter::Work::finish(std::chrono::milliseconds most) {
  output_.give_up_at(LineOutput::Clock::now() + most);
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_one();
  if (ended_.wait_for(lock, most + kSlack, [this] { return has_ended_; })) return true;
  dropped_ += pending_lines_;
  return false;
}

// ---- the thread

void LineWriter::Work::run() {
  std::vector<LineBlock> taken;
  for (;;) {
    bool open_now = false, stop = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kTellAgain,
                     [this] { return !pending_.empty() || missing_ > 0 || reopen_asked_ || stopping_; });
      taken.swap(pending_);
      if (taken.empty()) untold_ += std::exchange(missing_, 0);
      open_now = std::exchange(reopen_asked_, false);
      stop = stopping_;
    }
    for (LineBlock& block : taken) {
      write_block(block);
      const std::lock_guard lock(mutex_);
      pending_bytes_ -= block.capacity;
      pending_lines_ -= block.lines;
      block.clear();
      if (block.capacity == LineBlock::kBytes && spare_.size() < kMostSpare)
        spare_.push_back(std::move(block));
    }
    tell_missing();
    if (const int error = open_now ? output_.reopen() : 0; error != 0) reopen_error_ = error;
    if (stop && taken.empty()) break;
    taken.clear();
  }
  const std::lock_guard lock(mutex_);
  has_ended_ = true;
  ended_.notify_one();
}

void LineWriter::Work::write_block(const LineBlock& block) {
  untold_ += block.missing;
  tell_missing();
  const char* const from = block.bytes.get();
  const size_t done = output_.write(from, block.size);
  if (done == block.size) return;
  const int error = errno;
  const uint64_t lines = count_lines(from + done, block.size - done);
  dropped_ += lines;
  untold_ += lines;
  last_error_ = untold_error_ = error;
}

void LineWriter::Work::tell_missing() {
  if (untold_ == 0 || notice_ == nullptr) return;
  const std::string text = notice_(untold_, reason(untold_error_));
  if (output_.write(text.data(), text.size()) != text.size()) return;
  untold_ = 0;
  untold_error_ = 0;
}

// ---- the owner

LineWriter::LineWriter(LineTarget target, size_t most_pending, Notice notice)
    : work_(std::make_shared<Work>(std::move(target), most_pending, notice)) {
  const SignalsBlocked guard;  // a reader that went away is EPIPE to the thread, not SIGPIPE
  thread_ = std::thread([work = work_] { work->run(); });
}

void LineWriter::submit(LineBlock& block) {
  work_->submit(block);
  block.make_room(LineBlock::kBytes);
}

void LineWriter::submit(std::string_view lines) { work_->submit(lines); }
void LineWriter::reopen() { work_->reopen(); }

void LineWriter::finish(std::chrono::milliseconds most) {
  if (!thread_.joinable()) return;
  if (work_->finish(most)) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

uint64_t LineWriter::dropped() const { return work_->dropped(); }
const char* LineWriter::why_dropped() const { return reason(work_->last_error()); }
int LineWriter::take_reopen_error() { return work_->take_reopen_error(); }

}  // namespace limpet
