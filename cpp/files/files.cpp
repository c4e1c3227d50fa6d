#include "chainrule/files.h"

#include "files/disk.h"
#include "files/model_file.h"

namespace chainrule {

AnyNetwork load_any(const std::filesystem::path& path, Metadata* metadata) {
  return read_model(path.string(), read_file(path), metadata);
}

template <class T>
Network<T> load(const std::filesystem::path& path, Metadata* metadata) {
  Metadata texts;
  AnyNetwork network = load_any(path, &texts);
  if (!std::holds_alternative<Network<T>>(network))
    throw FileError(path.string() + (sizeof(T) == 4 ? " holds float64, not float32" : " holds float32, not float64"));
  if (metadata != nullptr) *metadata = std::move(texts);
  return std::get<Network<T>>(std::move(network));
}

template <class T>
void save(const Network<T>& network, const std::filesystem::path& path, const Metadata& metadata) {
  write_file(path, write_model(network, metadata));
}

template Network<float> load(const std::filesystem::path&, Metadata*);
template Network<double> load(const std::filesystem::path&, Metadata*);
template void save(const Network<float>&, const std::filesystem::path&, const Metadata&);
template void save(const Network<double>&, const std::filesystem::path&, const Metadata&);

}  // namespace chainrule
