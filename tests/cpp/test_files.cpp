// Tests model files and their JSON: which files are accepted, and the errors for the others. tests/test_cpp_files.py
// compares them to those of the Python package.
#include <algorithm>
#include <limits>
#include <string_view>
#include <system_error>

#include "chainrule/files.h"
#include "files/json.h"
#include "files/model_file.h"
#include "files/sha256.h"
#include "folder.h"
#include "support.h"

namespace chainrule::test {
namespace {

// True if an action throws this exception with a message that contains this text.
template <class Error, class Action>
bool throws(std::string_view words, Action action) {
  try {
    action();
  } catch (const Error& error) {
    const bool found = std::string_view(error.what()).find(words) != std::string_view::npos;
    if (!found) std::printf("%s\n", error.what());
    return found;
  }
  return false;
}

bool is_json(std::string_view text) {
  try {
    JsonReader json(text);
    json.skip();
    json.end();
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

std::string deep(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

void test_json() {
  for (const std::string_view text :
       {"{}", "[]", " [ 1 , 2 ] ", "{\"a\":{\"a\":null}}", "0", "-0", "-1.5e+3", "1E5", "true", "false", "\"\"",
        "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"", "\"\\u0000\\/\"", "\"\x7F\""})
    CHECK(is_json(text), text.size());
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "[",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\":1,\"a\":2}",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "-",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "nul",
                                      "True",
                                      "NaN",
                                      "Infinity",
                                      "1 1",
                                      "]",
                                      "\"",
                                      "\"\\",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12G4\"",
                                      "\"\n\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\x80\"",
                                      "\"\xC0\x80\"",
                                      "\"\xE0\x80\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\xF4\x90\x80\x80\"",
                                      "\"\xF0\x9F\x98\"",
                                      "\"\xFF\"",
                                      "'a'",
                                      "/**/1"})
    CHECK(!is_json(text), text.size());
  CHECK(is_json(deep(64)) && !is_json(deep(65)) && !is_json(std::string(1'000'000, '[')));

  const std::string text = JsonReader("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\n\"").string();
  CHECK(text == "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n");
  CHECK(JsonReader(json_string(text + '"' + '\\' + '\x01')).string() == text + '"' + '\\' + '\x01');
  CHECK(JsonReader("18446744073709551615").whole_number() == UINT64_MAX);
  for (const char* number : {"18446744073709551616", "99999999999999999999999", "1.0", "1e2", "-1", "-0"})
    CHECK(throws<std::invalid_argument>("whole number", [&] { JsonReader(number).whole_number(); }), number[0]);
  CHECK(JsonReader("-1.25e2").number() == -125);
  CHECK(throws<std::invalid_argument>("float64", [] { JsonReader("1e999").number(); }));
  CHECK(json_number(0.1) == "0.1" && json_number(1) == "1.0" && json_number(1e16) == "1e+16");
  CHECK(json_number(1e15) == "1000000000000000.0" && json_number(1e-5) == "1e-05" && json_number(0.5e-3) == "0.0005");
  CHECK(json_number(123456.75) == "123456.75" && json_number(5e-324) == "5e-324");
}

// A safetensors file of one layer whose header is assembled from these strings.
std::string file(const std::string& header, std::size_t bytes) {
  std::string text(1, static_cast<char>(header.size() & 255));
  text += static_cast<char>(header.size() >> 8);
  return text + std::string(6, '\0') + header + std::string(bytes, '\0');
}

void test_containers() {
  const std::string metadata = "{\"__metadata__\":{\"chainrule\":\"{}\"}";
  const auto tensor = [](const char* name, const char* shape, const char* offsets) {
    return std::string(",\"") + name + "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
           "}";
  };
  const auto reject = [](const std::string& words, const std::string& content) {
    CHECK(throws<FileError>(words, [&] { read_model("it", content, nullptr); }), words.size(), content.size());
  };
  reject("it is empty: save the model again", "");
  reject("it has only 3 bytes", "abc");
  reject("the file has 9", std::string("\x02\0\0\0\0\0\0\0{", 9));
  reject("the maximum is 100000000", std::string(8, '\xFF') + "{}");
  reject("UTF-8", file("{\"\xFF\":1}", 0));
  reject("not a chainrule model", file("{}", 0));
  reject("not a chainrule model", file("{\"__metadata__\":null}", 0));
  reject("has no format version", file(metadata + "}", 0));
  reject("1 bytes after the last tensor", file(metadata + "}", 1));
  reject("expected to begin at 0", file(metadata + tensor("a", "[1]", "[4,8]") + "}", 8));
  reject("expected to begin at 4", file(metadata + tensor("a", "[1]", "[0,4]") + tensor("b", "[1]", "[0,4]") + "}", 4));
  reject("cut short: it has 3 bytes of tensors, its header says 4",
         file(metadata + tensor("a", "[1]", "[0,4]") + "}", 3));
  reject("do not fit its shape", file(metadata + tensor("a", "[2]", "[0,4]") + "}", 4));
  reject("too large", file(metadata + tensor("a", "[4294967296,4294967296]", "[0,4]") + "}", 4));
  reject("does not occur twice", file(metadata + tensor("a", "[1]", "[0,4]") + tensor("a", "[1]", "[4,8]") + "}", 8));
  reject("lacks its shape", file(metadata + ",\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", 0));
  reject("expected F32 or F64", file(metadata + ",\"a\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4));
}

// SHA-256: the examples of the standard, and every length of the last block.
void test_checksums() {
  const auto digits = [](const std::string& text) {
    Sha256 whole, parts;
    whole.add(text);
    for (const char c : text) parts.add({&c, 1});
    const std::string found = whole.digits();
    CHECK(parts.digits() == found, text.size());
    return found;
  };
  CHECK(digits("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digits("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digits("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digits(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// After any bit of a file is flipped, reading it raises an error or gives the same model; the latter happens only for
// bits in the checksum's name.
void test_damage() {
  const Network<float> network({2, 2, 1}, {.seed = 3});
  std::string file = write_model(network, {{"by", "Ada"}});
  int harmless = 0;
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    const auto change = [&] { file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8); };
    change();
    try {
      Metadata metadata;
      const auto again = std::get<Network<float>>(read_model("it", file, &metadata));
      CHECK(std::ranges::equal(again.parameters(), network.parameters()) && metadata.at("by") == "Ada", bit);
      ++harmless;
    } catch (const FileError&) {
    }
    change();
  }
  CHECK(harmless < 8 * 16, harmless);
}

template <class T>
void test_weights_that_are_not_finite() {
  Network<T> network({2, 2, 1}, {.seed = 3});
  const std::string file = write_model(network, {});
  const std::size_t key = file.find("chainrule.sha256");
  for (const T value :
       {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()}) {
    std::string bad = file;
    bad[key] = 'C';  // now the file has no checksum
    bad.replace(bad.size() - sizeof value, sizeof value,
                std::string(reinterpret_cast<const char*>(&value), sizeof value));
    CHECK(throws<FileError>("its weights or biases hold NaN or infinity", [&] { read_model("it", bad, nullptr); }));
    network.parameters().back() = value;
    CHECK(throws<std::invalid_argument>("parameters hold NaN or infinity", [&] { write_model(network, {}); }));
  }
}

// A checkpoint has more tensors than those of the network.
void test_states() {
  const Network<float> network({2, 1});
  const std::string bytes(8, '\1');
  const std::string file = write_model(network, {}, {{"vectors.a", {"F32", {2}, bytes}}});
  Tensors state;
  read_model("it", file, nullptr, &state);
  CHECK(state.size() == 1 && state.at("vectors.a").bytes == bytes);
  CHECK(throws<FileError>("it has 3 tensors, expected 2", [&] { read_model("it", file, nullptr); }));
}

template <class T>
void test_networks(const std::filesystem::path& folder) {
  using Other = std::conditional_t<sizeof(T) == 4, double, float>;
  const Network<T> network({3, 5, 2}, {.activation = Activation::mish, .init = Init::lecun_normal, .seed = UINT64_MAX});
  const std::filesystem::path path = folder / "model";
  save(network, path, {{"by", "Ada"}});
  Metadata metadata;
  const Network<T> again = load<T>(path, &metadata);
  CHECK(metadata == (Metadata{{"by", "Ada"}}));
  CHECK(std::ranges::equal(again.parameters(), network.parameters()));
  CHECK(again.activations() == network.activations() && again.loss() == network.loss());
  CHECK(again.init() == Init::lecun_normal && again.seed() == UINT64_MAX);
  CHECK(std::holds_alternative<Network<T>>(load_any(path)));
  CHECK(throws<FileError>("holds float", [&] { load<Other>(path); }));
  for (const char* key : {"chainrule", "chainrule.sha256"})
    CHECK(throws<std::invalid_argument>("is reserved", [&] { save(network, path, {{key, ""}}); }));
  CHECK(throws<std::invalid_argument>("UTF-8", [&] { save(network, path, {{"a", "\xFF"}}); }));
  CHECK(throws<std::system_error>("cannot write", [&] { save(network, folder / "nowhere" / "model"); }));
  CHECK(throws<std::system_error>("cannot read", [&] { load<T>(folder / "nothing"); }));
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  test_json();
  test_containers();
  test_checksums();
  test_damage();
  test_weights_that_are_not_finite<float>();
  test_weights_that_are_not_finite<double>();
  test_states();
  const chainrule::Folder folder;
  test_networks<float>(folder.path);
  test_networks<double>(folder.path);
  return check::finish("files");
}
