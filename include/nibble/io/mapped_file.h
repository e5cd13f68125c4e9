// SPDX-License-Identifier: Apache-2.0 OR MIT
// A whole file as read-only bytes: mapped where the system can, else read into memory.
#ifndef NIBBLE_IO_MAPPED_FILE_H_
#define NIBBLE_IO_MAPPED_FILE_H_

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
#include <utility>

#include "nibble/io/error_note.h"

#if (defined(__unix__) || defined(__APPLE__)) && !defined(NIBBLE_IO_NO_MMAP)
#define NIBBLE_IO_HAS_MMAP 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace nibble::inline NIBBLE_ABI {

/// The bytes of a regular file, valid while this object (or what it was moved into) lives.
///
/// A mapping follows the file: if another process shortens the file meanwhile, reading the lost
/// part raises SIGBUS. Replace files by renaming, as writers should. Where there is no mmap (or
/// with NIBBLE_IO_NO_MMAP defined) the file is read into memory of its size, up to LONG_MAX bytes.
class mapped_file {
 public:
  mapped_file() noexcept = default;
  mapped_file(mapped_file&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  mapped_file& operator=(mapped_file&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~mapped_file() { release(); }

  /// Opens `path` for reading. An empty file gives no bytes. Never waits: a FIFO is an error.
  ///
  /// Errors: not_found; io: not a regular file, no permission, or the system refuses; overflow: too
  /// large for this address space; out_of_memory.
  [[nodiscard]] static result<mapped_file> open(const char* path,
                                                error_note* note = nullptr) noexcept;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  explicit mapped_file(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  void release() noexcept;

  std::span<const std::byte> bytes_;
};

#if NIBBLE_IO_HAS_MMAP

inline void mapped_file::release() noexcept {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

namespace detail {

[[nodiscard]] inline errc open_error(int error) noexcept {
  if (error == ENOENT || error == ENOTDIR) return errc::not_found;
  return error == ENOMEM ? errc::out_of_memory : errc::io;
}

struct file_descriptor {
  int number;
  ~file_descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace detail

inline result<mapped_file> mapped_file::open(const char* path, error_note* note) noexcept {
  NIBBLE_ASSERT(path != nullptr, "a path is needed");
  const printable_name shown(path);
  // O_NONBLOCK: opening a FIFO without a writer returns; it changes nothing for regular files.
  const detail::file_descriptor file{::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status = {};
  if (file.number < 0 || fstat(file.number, &status) != 0) {
    return detail::fail(note, detail::open_error(errno), "cannot open '%s'", shown.text);
  }
  if (!S_ISREG(status.st_mode)) {
    return detail::fail(note, errc::io, "'%s' is %s", shown.text,
                        S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > PTRDIFF_MAX) {
    return detail::fail(note, errc::overflow, "'%s' is too large", shown.text);
  }
  if (size == 0) return mapped_file();
  void* data =
      mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) {
    return detail::fail(note, detail::open_error(errno), "cannot map '%s'", shown.text);
  }
  return mapped_file({static_cast<const std::byte*>(data), static_cast<std::size_t>(size)});
}

#else  // no mmap

inline void mapped_file::release() noexcept { delete[] bytes_.data(); }

inline result<mapped_file> mapped_file::open(const char* path, error_note* note) noexcept {
  NIBBLE_ASSERT(path != nullptr, "a path is needed");
  const printable_name shown(path);
  struct closer {
    std::FILE* file;
    ~closer() {
      if (file != nullptr) std::fclose(file);
    }
  } const opened{std::fopen(path, "rb")};
  if (opened.file == nullptr) {
    return detail::fail(note, errno == ENOENT ? errc::not_found : errc::io, "cannot open '%s'",
                        shown.text);
  }
  const bool at_end = std::fseek(opened.file, 0, SEEK_END) == 0;
  const long end = at_end ? std::ftell(opened.file) : -1;
  // A directory that can be opened reports an absurd size.
  if (end < 0 || end == LONG_MAX || std::fseek(opened.file, 0, SEEK_SET) != 0) {
    return detail::fail(note, errc::io, "cannot find the size of '%s'", shown.text);
  }
  mapped_file file;
  if (end == 0) return file;
  const auto size = static_cast<std::size_t>(end);
  auto* data = new (std::nothrow) std::byte[size];
  if (data == nullptr) return detail::fail(note, errc::out_of_memory, "'%s'", shown.text);
  file.bytes_ = {data, size};
  if (std::fread(data, 1, size, opened.file) != size) {
    return detail::fail(note, errc::io, "cannot read '%s'", shown.text);
  }
  return file;
}

#endif

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_MAPPED_FILE_H_
