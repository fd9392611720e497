// Which thread takes a signal, and when: the main one, from when its loop acts on them, and none but it.
#pragma once

#include <pthread.h>

#include <csignal>

namespace limpet {

// Those that `run` acts on. One that comes before the loop does waits for it: its default would end the
// process.
inline constexpr int kSignalsOfRun[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};

inline void mask_signals_of_run(int how) {
  sigset_t these;
  sigemptyset(&these);
  for (const int number : kSignalsOfRun) sigaddset(&these, number);
  pthread_sigmask(how, &these, nullptr);
}

inline void hold_signals() { mask_signals_of_run(SIG_BLOCK); }
inline void take_signals() { mask_signals_of_run(SIG_UNBLOCK); }

// While it lives this thread takes no signals, and a thread that it starts never does.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace limpet
