// SHA-256 (FIPS 180-4): the checksum of model files and checkpoints.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace chainrule {

class Sha256 {
 public:
  void add(std::string_view bytes);
  std::string digits();  // 64 hexadecimal digits for all bytes added so far; add() must not be called afterwards

 private:
  void add_block(const char* block);

  std::array<std::uint32_t, 8> state_{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::array<char, 64> block_{};
  std::uint64_t size_ = 0;  // in bytes; size_ % 64 of them are in block_
};

}  // namespace chainrule
