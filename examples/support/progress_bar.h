// SPDX-License-Identifier: Apache-2.0 OR MIT
// A progress bar on the terminal's last line; silent when standard error is no terminal.
#ifndef NIBBLE_EXAMPLES_SUPPORT_PROGRESS_BAR_H_
#define NIBBLE_EXAMPLES_SUPPORT_PROGRESS_BAR_H_

#include <cstdio>
#include <string_view>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace examples {

class progress_bar {
 public:
  progress_bar(std::size_t total, bool wanted) : total_(total), shown_(wanted && is_terminal()) {}
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;
  ~progress_bar() { clear(); }

  /// One step of `total` begins.
  void step(std::string_view what, std::string_view of = {}) {
    if (!shown_) return;
    constexpr std::size_t width = 24;
    constexpr char full[] = "########################";
    constexpr char empty[] = "........................";
    const std::size_t filled = total_ == 0 ? width : width * done_ / total_;
    ++done_;
    std::fprintf(stderr, "\r\033[K[%.*s%.*s] %zu/%zu %.*s %.*s", static_cast<int>(filled), full,
                 static_cast<int>(width - filled), empty, done_, total_,
                 static_cast<int>(what.size() < 24 ? what.size() : 24), what.data(),
                 static_cast<int>(of.size() < 16 ? of.size() : 16), of.data());
    std::fflush(stderr);
  }

  /// Takes the bar away, for messages and at the end.
  void clear() {
    if (shown_ && done_ > 0) std::fputs("\r\033[K", stderr);
  }

 private:
  static bool is_terminal() {
#if defined(__unix__) || defined(__APPLE__)
    return isatty(STDERR_FILENO) == 1;
#else
    return false;
#endif
  }

  std::size_t total_;
  std::size_t done_ = 0;
  bool shown_;
};

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_PROGRESS_BAR_H_
