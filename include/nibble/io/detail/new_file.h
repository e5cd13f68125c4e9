// SPDX-License-Identifier: Apache-2.0 OR MIT
// A file that is written beside its place and takes it when it is whole: readers see the old one or
// the new one, never a part, however many processes write.
#ifndef NIBBLE_IO_DETAIL_NEW_FILE_H_
#define NIBBLE_IO_DETAIL_NEW_FILE_H_

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "nibble/io/mapped_file.h"

namespace nibble::inline NIBBLE_ABI::detail {

class new_file {
 public:
  explicit new_file(const char* path) noexcept : path_(path) {}
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;
  /// Without commit() nothing is left.
  ~new_file() { discard(); }

  /// Creates `path`.<number>-<number>.part, a file that nobody has. io: the system refuses.
  [[nodiscard]] errc create() noexcept;
  [[nodiscard]] std::FILE* stream() const noexcept { return file_; }
  /// Brings the bytes to the disk and the file to its place. io: what is there stays.
  [[nodiscard]] errc commit() noexcept;

 private:
  // Names that differ between processes, then names that are taken are passed.
  static constexpr unsigned max_attempts = 1000;

#if NIBBLE_IO_HAS_MMAP  // POSIX
  [[nodiscard]] static unsigned long owner() noexcept {
    return static_cast<unsigned long>(::getpid());
  }
  [[nodiscard]] static std::FILE* create_exclusively(const char* name) noexcept {
    const int number = ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number < 0) return nullptr;
    std::FILE* const file = ::fdopen(number, "wb");
    if (file == nullptr) {
      ::close(number);
      ::unlink(name);
    }
    return file;
  }
  // A rename may reach the disk before the bytes do. EINVAL: a file system that knows no fsync.
  [[nodiscard]] static bool reach_disk(std::FILE* file) noexcept {
    return std::fflush(file) == 0 && (::fsync(::fileno(file)) == 0 || errno == EINVAL);
  }
#else
  [[nodiscard]] static unsigned long owner() noexcept { return 0; }
  [[nodiscard]] static std::FILE* create_exclusively(const char* name) noexcept {
    return std::fopen(name, "wbx");
  }
  [[nodiscard]] static bool reach_disk(std::FILE* file) noexcept { return std::fflush(file) == 0; }
#endif
  void discard() noexcept {
    if (file_ != nullptr) std::fclose(std::exchange(file_, nullptr));
    if (part_ != nullptr) std::remove(part_.get());
    part_.reset();
  }

  const char* path_;
  std::unique_ptr<char[]> part_;
  std::FILE* file_ = nullptr;
};

inline errc new_file::create() noexcept {
  const std::size_t size = std::strlen(path_) + 48;
  std::unique_ptr<char[]> name(new (std::nothrow) char[size]);
  if (name == nullptr) return errc::out_of_memory;
  for (unsigned i = 0; i < max_attempts && file_ == nullptr; ++i) {
    std::snprintf(name.get(), size, "%s.%lu-%u.part", path_, owner(), i);
    file_ = create_exclusively(name.get());
    if (file_ == nullptr && errno != EEXIST) return errc::io;
  }
  if (file_ == nullptr) return errc::io;
  part_ = std::move(name);
  return errc::ok;
}

inline errc new_file::commit() noexcept {
  const bool written = reach_disk(file_);
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!written || !closed) return errc::io;
#ifdef _WIN32
  std::remove(path_);  // rename replaces nothing there
#endif
  if (std::rename(part_.get(), path_) != 0) return errc::io;
  part_.reset();
  return errc::ok;
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_NEW_FILE_H_
