// SPDX-License-Identifier: Apache-2.0 OR MIT
// mapped_file: bytes, lifetimes, and everything that is no regular file.
#include "nibble/io/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "support/catch.h"

using namespace nibble;

namespace {

// A path in a directory of its own, removed with what the test has put there.
class scratch {
 public:
  scratch() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/nibble_io_XXXXXX";
    REQUIRE(mkdtemp(path_.data()) != nullptr);
    file_ = path_ + "/file";
  }
  ~scratch() {
    unlink(file_.c_str());
    rmdir(path_.c_str());
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  const char* directory() const { return path_.c_str(); }
  const char* file() const { return file_.c_str(); }
  void write(const std::string& text) const {
    std::ofstream(file_, std::ios::binary).write(text.data(), static_cast<long>(text.size()));
  }

 private:
  std::string path_;
  std::string file_;
};

std::string text_of(const mapped_file& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

TEST_CASE("mapped_file: the bytes are those of the file, also after a move") {
  const scratch dir;
  std::string text(100'001, 'x');
  text[0] = '\0';
  text.back() = 'z';
  dir.write(text);
  result<mapped_file> file = mapped_file::open(dir.file());
  REQUIRE(file.has_value());
  CHECK(text_of(*file) == text);
  const std::byte* const data = file->bytes().data();
  mapped_file moved = std::move(*file);
  CHECK(file->bytes().empty());
  CHECK(moved.bytes().data() == data);
  mapped_file assigned;
  assigned = std::move(moved);
  CHECK(text_of(assigned) == text);
  assigned = mapped_file();
  CHECK(assigned.bytes().empty());
}

TEST_CASE("mapped_file: an empty file has no bytes") {
  const scratch dir;
  dir.write("");
  const result<mapped_file> file = mapped_file::open(dir.file());
  REQUIRE(file.has_value());
  CHECK(file->bytes().empty());
}

TEST_CASE("mapped_file: what cannot be opened is an error with the path") {
  const scratch dir;
  error_note note;
  CHECK(mapped_file::open(dir.file(), &note).error() == errc::not_found);
  CHECK(std::strstr(note.text, dir.file()) != nullptr);
  CHECK(mapped_file::open("", &note).error() == errc::not_found);
  note = {};
  CHECK(mapped_file::open(dir.directory(), &note).error() == errc::io);
  CHECK(std::strstr(note.text, dir.directory()) != nullptr);
  dir.write("x");
  CHECK(mapped_file::open((std::string(dir.file()) + "/below").c_str()).error() != errc::ok);
  if (geteuid() != 0) {  // nothing is unreadable for root
    REQUIRE(chmod(dir.file(), 0) == 0);
    CHECK(mapped_file::open(dir.file(), &note).error() == errc::io);
  }
}

#ifndef NIBBLE_IO_NO_MMAP
TEST_CASE("mapped_file: a FIFO or a device is refused at once") {
  const scratch dir;
  REQUIRE(mkfifo(dir.file(), 0600) == 0);
  error_note note;
  CHECK(mapped_file::open(dir.file(), &note).error() == errc::io);
  CHECK(std::strstr(note.text, "not a regular file") != nullptr);
  CHECK(mapped_file::open("/dev/zero").error() == errc::io);
}
#endif
