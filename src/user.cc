#include "src/user.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "conf/spelling.h"

namespace limpet {

namespace {

struct Account {
  uid_t user = 0;
  gid_t group = 0;
  std::string wrong{};  // why there is none
};

Account account_of(const std::string& name) {
  errno = 0;
  const passwd* const found = getpwnam(name.c_str());
  if (found == nullptr) {
    const bool is_unknown = errno == 0 || errno == ENOENT || errno == ESRCH;  // getpwnam(3)
    return {0, 0,
            is_unknown ? "is no user of this machine"
                       : std::string("cannot be looked up: ") + std::strerror(errno)};
  }
  if (found->pw_uid == 0) return {0, 0, "has all rights, accepted: a user who has few"};
  return {found->pw_uid, found->pw_gid};
}

// capabilities(7); of the calling thread, and of those that it starts.
bool keep_low_ports_alone() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  const uint32_t kept = sets[0].permitted & (1u << CAP_NET_BIND_SERVICE);
  sets[0] = {.effective = kept, .permitted = kept, .inheritable = 0};
  sets[1] = {};
  return syscall(SYS_capset, &header, sets) == 0;
}

bool is_open_to_us(const std::string& path, int how) {
  return faccessat(AT_FDCWD, path.c_str(), how, AT_EACCESS) == 0 || errno == ENOENT;
}

// A file that is not there yet is made.
bool can_append(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return is_open_to_us(path, W_OK);
  const auto folder = std::filesystem::path(path).parent_path();
  return is_open_to_us(folder.empty() ? "." : folder.string(), W_OK | X_OK);
}

}  // namespace

std::string become(const std::string& user) {
  const Account account = account_of(user);
  if (!account.wrong.empty()) return account.wrong;
  if (getuid() == account.user && geteuid() == account.user) return {};
  if (geteuid() != 0) return "takes a start by root, or by that user";
  const auto failed = [](const char* what) { return what + std::string(": ") + std::strerror(errno); };
  if (prctl(PR_SET_KEEPCAPS, 1) != 0) return failed("root's rights cannot be kept until it is taken up");
  if (initgroups(user.c_str(), account.group) != 0 ||
      setresgid(account.group, account.group, account.group) != 0)
    return failed("its groups cannot be taken up");
  if (setresuid(account.user, account.user, account.user) != 0) return failed("cannot be taken up");
  if (!keep_low_ports_alone()) return failed("root's rights cannot be given up");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("new rights cannot be ruled out");
  hide_memory();  // another user's memory is dumped as fs.suid_dumpable says (proc_sys_fs(5))
  return {};
}

void check_user(const conf::Settings& settings, conf::Findings& findings) {
  if (settings.user.empty()) return;
  if (const std::string wrong = account_of(settings.user).wrong; !wrong.empty())
    findings.fault("user", conf::in_quotes(settings.user) + " " + wrong);
}

std::vector<std::string> out_of_reach(const std::string& file, const conf::Settings& settings) {
  if (account_of(settings.user).user != geteuid())
    return {"whether user " + settings.user +
            " can read what this file names is seen by root, and by that user"};
  std::vector<std::string> lines;
  const auto say = [&](const std::string& path, const std::string& what) {
    lines.push_back(path + " " + what + " by user " + settings.user);
  };
  if (!is_open_to_us(file, R_OK)) say(file, "cannot be read again");
  const std::string& log = settings.log.access;
  if (log != "stdout" && log != "off" && !can_append(log)) say(log, "cannot be written");
  for (const conf::Listener& listener : settings.listeners)
    if (!listener.acme_challenges.empty() && !is_open_to_us(listener.acme_challenges, X_OK))
      say(listener.acme_challenges, "cannot be entered");
  return lines;
}

// Not by core dumps' limit alone: the kernel hands them to a program all the same where one is to have them
// (core(5)). Nor by marking keys' memory: OpenSSL and what holds tickets have copies.
void hide_memory() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

}  // namespace limpet
