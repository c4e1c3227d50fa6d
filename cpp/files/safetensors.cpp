#include "files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "core/check.h"
#include "files/json.h"
#include "files/sha256.h"

namespace chainrule {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");

constexpr std::size_t length_bytes = 8, max_header = 100'000'000;  // both are fixed by the format
constexpr std::string_view metadata_key = "__metadata__";

struct Entry {
  std::string name;
  std::uint64_t begin = 0, end = 0;
};

std::uint64_t bytes_of(const std::string& name, const Tensor& tensor) {
  require(tensor.dtype == "F32" || tensor.dtype == "F64", "tensor ", name, " is ", tensor.dtype,
          ", expected F32 or F64");
  std::uint64_t bytes = tensor.dtype == "F32" ? 4 : 8;
  for (const Index size : tensor.shape)
    require(!__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes), "tensor ", name, " is too large");
  return bytes;
}

Tensor read_tensor(JsonReader& json, Entry& entry) {
  Tensor tensor;
  std::vector<std::uint64_t> offsets;
  bool shaped = false;
  json.object([&](const std::string& key) {
    if (key == "dtype") {
      tensor.dtype = json.string();
    } else if (key == "shape") {
      shaped = true;
      json.array([&] { tensor.shape.push_back(static_cast<Index>(json.whole_number(PTRDIFF_MAX))); });
    } else if (key == "data_offsets") {
      json.array([&] { offsets.push_back(json.whole_number()); });
    } else {
      json.skip();
    }
  });
  require(shaped && offsets.size() == 2, "tensor ", entry.name, " lacks its shape or its two offsets");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return tensor;
}

}  // namespace

Container read_container(std::string_view file) {
  require(!file.empty(), "it is empty: save the model again");
  require(file.size() >= length_bytes, "it has only ", file.size(), " bytes");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= std::uint64_t{static_cast<unsigned char>(file[i])} << 8 * i;
  require(length <= max_header, "its header would have ", length, " bytes, the maximum is ", max_header);
  require(length <= file.size() - length_bytes, "its header would have ", length, " bytes, the file has ", file.size());

  Container container;
  std::vector<Entry> entries;
  JsonReader json(file.substr(length_bytes, length));
  json.object([&](const std::string& name) {
    if (name != metadata_key) {
      entries.push_back({name});
      container.tensors[name] = read_tensor(json, entries.back());
    } else if (json.next_is('n')) {
      json.skip();  // null
    } else {
      json.object([&](const std::string& key) { container.metadata[key] = json.string(); });
    }
  });
  json.end();

  // The bytes of the tensors must be adjacent and fill the rest of the file.
  const std::string_view data = file.substr(length_bytes + length);
  std::uint64_t last = 0;
  for (const Entry& entry : entries) last = std::max(last, entry.end);
  require(last <= data.size(), "it is cut short: it has ", data.size(), " bytes of tensors, its header says ", last,
          ": copy it again");
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    Tensor& tensor = container.tensors.at(entry.name);
    require(entry.begin == end && entry.end >= end, "tensor ", entry.name, " lies at ", entry.begin, " to ", entry.end,
            ", expected to begin at ", end);
    require(bytes_of(entry.name, tensor) == entry.end - entry.begin, "tensor ", entry.name, " has ",
            entry.end - entry.begin, " bytes, which do not fit its shape");
    tensor.bytes = data.substr(entry.begin, entry.end - entry.begin);
    end = entry.end;
  }
  require(end == data.size(), "it has ", data.size() - end, " bytes after the last tensor");
  return container;
}

namespace {

// Everything before the tensors' bytes.
std::string header_of(const Container& container) {
  std::string text = text_of("{", json_string(metadata_key), ":{");
  const char* comma = "";
  for (const auto& [key, value] : container.metadata)
    text += text_of(std::exchange(comma, ","), json_string(key), ":", json_string(value));
  text += "}";
  std::size_t begin = 0;
  for (const auto& [name, tensor] : container.tensors) {
    text += text_of(",", json_string(name), ":{\"dtype\":", json_string(tensor.dtype), ",\"shape\":[");
    comma = "";
    for (const Index size : tensor.shape) text += text_of(std::exchange(comma, ","), size);
    const std::size_t end = begin + tensor.bytes.size();
    text += text_of("],\"data_offsets\":[", begin, ",", end, "]}");
    begin = end;
  }
  text += "}";
  text.append((length_bytes - text.size() % length_bytes) % length_bytes, ' ');  // aligns the tensors
  require(text.size() <= max_header, "the metadata is too long for a model file");

  std::string length;
  for (std::size_t i = 0; i < length_bytes; ++i) length += static_cast<char>(text.size() >> 8 * i & 0xFF);
  return length + text;
}

}  // namespace

std::string write_container(const Container& container) {
  std::string file = header_of(container);
  std::size_t size = file.size();
  for (const auto& [name, tensor] : container.tensors) size += tensor.bytes.size();
  file.reserve(size);
  for (const auto& [name, tensor] : container.tensors) file += tensor.bytes;
  return file;
}

std::string checksum_of(const Container& container) {
  Sha256 sum;
  sum.add(header_of(container));
  for (const auto& [name, tensor] : container.tensors) sum.add(tensor.bytes);
  return sum.digits();
}

}  // namespace chainrule
