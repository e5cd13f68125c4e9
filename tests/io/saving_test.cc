// SPDX-License-Identifier: Apache-2.0 OR MIT
// save_packed() beside others: a reader sees a whole file at any time, and nothing is left behind.
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "nibble/io/packed_file.h"
#include "support/catch.h"

using namespace nibble;

namespace {

// A folder of its own, and in it the path that all write.
struct scratch {
  std::string folder;
  std::string file;
  scratch() {
    const char* base = std::getenv("TMPDIR");
    folder = std::string(base != nullptr ? base : "/tmp") + "/nibble_saving_XXXXXX";
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    file = folder + "/file";
  }
  ~scratch() {
    for (const std::string& name : names()) std::remove((folder + "/" + name).c_str());
    rmdir(folder.c_str());
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    DIR* const all = opendir(folder.c_str());
    for (const dirent* e; all != nullptr && (e = readdir(all)) != nullptr;) {
      if (e->d_name[0] != '.') found.emplace_back(e->d_name);
    }
    if (all != nullptr) closedir(all);
    return found;
  }
};

// A text of one letter, of a length that goes with it.
std::string text_of(char letter) {
  return std::string(30000 + 20000 * static_cast<std::size_t>(letter - 'a'), letter);
}

errc save(const scratch& at, char letter, error_note* note = nullptr) {
  const std::string text = text_of(letter);
  return save_packed(at.file.c_str(), std::vector<named_packed>{named_text("t", text)}, note);
}

// Empty, or what is wrong with the file.
std::string fault_of(const scratch& at) {
  error_note note;
  const auto file = load_packed(at.file.c_str(), &note);
  if (!file) return std::string(message(file.error())) + ": " + note.text;
  if (file->verify() != errc::ok) return "its checksum is not right";
  const std::string text(file->text("t").value_or(""));
  return !text.empty() && text == text_of(text[0]) ? "" : "its text is none of ours";
}

// fn() in a process of its own, which ends with what it returns.
template <class Fn>
pid_t start(Fn fn) {
  const pid_t child = fork();
  if (child == 0) _exit(fn());
  REQUIRE(child > 0);
  return child;
}

int exit_code(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("packed file: two processes write one file and a reader always finds it whole") {
  const scratch at;
  REQUIRE(save(at, 'a') == errc::ok);
  const auto writer = [&at](char letter) {
    return start([&at, letter] {
      for (int i = 0; i < 200; ++i) {
        if (save(at, letter) != errc::ok) return 1;
      }
      return 0;
    });
  };
  const pid_t writers[] = {writer('a'), writer('b')};
  const pid_t reader = start([&at] {
    for (int i = 0; i < 2000; ++i) {
      if (const std::string fault = fault_of(at); !fault.empty()) {
        std::fprintf(stderr, "%s\n", fault.c_str());
        return 1;
      }
    }
    return 0;
  });
  for (const pid_t w : writers) CHECK(exit_code(w) == 0);
  CHECK(exit_code(reader) == 0);
  CHECK(fault_of(at) == "");
  CHECK(at.names() == std::vector<std::string>{"file"});
}

TEST_CASE("packed file: the part of a writer that died is not touched") {
  const scratch at;
  const std::string dead = at.file + '.' + std::to_string(getpid()) + "-0.part";
  std::FILE* const file = std::fopen(dead.c_str(), "wb");
  REQUIRE(file != nullptr);
  std::fputs("dead", file);
  std::fclose(file);
  REQUIRE(save(at, 'c') == errc::ok);
  CHECK(fault_of(at) == "");
  CHECK(at.names().size() == 2);
  const auto left = mapped_file::open(dead.c_str());
  REQUIRE(left.has_value());
  CHECK(detail::as_text(left->bytes()) == "dead");
}

TEST_CASE("packed file: a save that fails leaves the older file and no part") {
  const scratch at;
  REQUIRE(save(at, 'a') == errc::ok);
  const pid_t child = start([&at] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit few{40000, 40000};
    if (setrlimit(RLIMIT_FSIZE, &few) != 0) return 2;
    error_note note;
    return save(at, 'b', &note) == errc::io && note.text[0] != '\0' ? 0 : 1;
  });
  CHECK(exit_code(child) == 0);
  CHECK(fault_of(at) == "");
  CHECK(at.names() == std::vector<std::string>{"file"});
}
