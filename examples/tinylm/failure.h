// SPDX-License-Identifier: Apache-2.0 OR MIT
// How tinylm ends when something is wrong: an exit code and a sentence.
#ifndef NIBBLE_EXAMPLES_TINYLM_FAILURE_H_
#define NIBBLE_EXAMPLES_TINYLM_FAILURE_H_

#include <fmt/format.h>

#include <string>

#include "nibble/io/error_note.h"

namespace tinylm {

enum exit_code : int {
  success = 0,
  run_failed = 1,
  wrong_usage = 2,
  file_unreadable = 3,
  file_malformed = 4,
};

struct failure {
  exit_code code;
  std::string text;
};

/// What a reader of files says, as a failure.
[[nodiscard]] inline failure file_failure(const std::string& path, nibble::errc e,
                                          const nibble::error_note& note = {}) {
  exit_code code = file_malformed;
  if (e == nibble::errc::not_found || e == nibble::errc::io) code = file_unreadable;
  if (e == nibble::errc::out_of_memory) code = run_failed;
  std::string text = path + ": " + nibble::message(e);
  if (note.text[0] != '\0') text += std::string(": ") + note.text;
  return {code, text};
}

/// For calls that fail for want of memory alone.
inline void require_ok(nibble::errc e, std::string_view what) {
  if (e != nibble::errc::ok) {
    throw failure{run_failed, fmt::format("{}: {}", what, nibble::message(e))};
  }
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_FAILURE_H_
