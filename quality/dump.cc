#include "quality/dump.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "quality/sha256.h"
#include "quality/shard_index.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLeastItemBytes = 32;  // of a shard: the header entry of one tensor

std::string ShardPath(const std::string& folder, const Shard& shard) {
  return absl::StrCat(folder, "/shards/", shard.FileName());
}

// What a rename must not overtake.
absl::Status Sync(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = file >= 0 && fsync(file) == 0;
  if (file >= 0) close(file);
  return synced ? absl::OkStatus() : absl::InternalError(absl::StrCat("cannot sync ", path));
}

absl::StatusOr<std::pair<Shard, std::string>> ParseDone(const std::string& line,
                                                        const std::string& file) {
  const auto json = ParseJson(line);
  const auto is = [&](const char* key, auto check) {
    return json->contains(key) && ((*json)[key].*check)();
  };
  if (!json.ok() || !json->is_object() || !is("track", &Json::is_string) ||
      !is("first", &Json::is_number_unsigned) || !is("last", &Json::is_number_unsigned) ||
      !is("sha256", &Json::is_string)) {
    return absl::DataLossError(
        absl::StrCat(file, ": '", line, "' is no {track, first, last, sha256}"));
  }
  return std::pair(
      Shard{.track = (*json)["track"], .first = (*json)["first"], .last = (*json)["last"]},
      (*json)["sha256"].get<std::string>());
}

// What a killed run was writing and had not given its name yet.
void RemoveUnfinished(const std::string& folder) {
  std::error_code ignored;
  for (const char* where : {"", "/shards"}) {
    for (const auto& entry : fs::directory_iterator(folder + where, ignored)) {
      const std::string name = entry.path().filename();
      const bool temporary =
          entry.path().extension() == ".part" || name.starts_with("manifest.json.") ||
          name.starts_with("done.jsonl.") || name.starts_with(std::string(kDumpPrompts) + ".");
      if (temporary) fs::remove(entry.path(), ignored);
    }
  }
}

// A line that a kill cut in two ends the list.
absl::StatusOr<std::vector<std::pair<Shard, std::string>>> ReadDoneFile(const std::string& folder) {
  const std::string path = folder + "/done.jsonl";
  std::vector<std::pair<Shard, std::string>> done;
  if (!fs::exists(path)) return done;
  const auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  const size_t whole = text->rfind('\n') == std::string::npos ? 0 : text->rfind('\n') + 1;
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(text->data(), whole), '\n', absl::SkipEmpty())) {
    auto entry = ParseDone(std::string(line), path);
    if (!entry.ok()) return entry.status();
    done.push_back(*std::move(entry));
  }
  return done;
}

}  // namespace

std::string Shard::FileName() const {
  return absl::StrFormat("%s.%06d-%06d.safetensors", track, first, last - 1);
}

std::string TensorName(std::string_view track, int item, std::string_view what) {
  return absl::StrFormat("%s.%06d.%s", std::string(track), item, std::string(what));
}

std::string FirstDifference(const Json& a, const Json& b, const std::string& path) {
  if (a == b) return "";
  if (a.is_object() && b.is_object()) {
    std::set<std::string> keys;
    for (const auto& item : a.items()) keys.insert(item.key());
    for (const auto& item : b.items()) keys.insert(item.key());
    for (const std::string& key : keys) {
      const Json absent;
      std::string found = FirstDifference(a.contains(key) ? a[key] : absent,
                                          b.contains(key) ? b[key] : absent, path + "/" + key);
      if (!found.empty()) return found;
    }
  }
  return absl::StrCat(path.empty() ? "/" : path, ": ", a.dump(), " and ", b.dump());
}

absl::StatusOr<Json> ModelIdentity(const std::string& folder) {
  if (absl::Status shards = CheckShardIndex(folder); !shards.ok()) return shards;
  Json files = Json::object();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    const std::string extension = entry.path().extension();
    const bool weights = extension == ".q4" || extension == ".f16" ||
                         (name.starts_with("model") && extension == ".safetensors");
    if (name != "config.json" && name != "quantize_index.json" && !weights) continue;
    auto hash = Sha256OfFile(entry.path());
    if (!hash.ok()) return hash.status();
    files[name] = *std::move(hash);
  }
  if (error)
    return absl::NotFoundError(absl::StrCat("no model folder ", folder, ": ", error.message()));
  if (!files.contains("config.json")) {
    return absl::NotFoundError(
        absl::StrCat(folder, " holds no config.json: it is no checkpoint folder"));
  }
  return files;
}

absl::StatusOr<std::unique_ptr<DumpWriter>> DumpWriter::Open(const std::string& folder,
                                                             const Json& manifest) {
  std::error_code error;
  fs::create_directories(folder + "/shards", error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot create the dump ", folder, ": ", error.message()));
  }
  RemoveUnfinished(folder);
  std::unique_ptr<DumpWriter> writer(new DumpWriter(folder));
  const std::string path = folder + "/manifest.json";
  if (!fs::exists(path)) {
    absl::Status written = WriteFile(path, manifest.dump(1) + "\n");
    if (!written.ok()) return written;
    return writer;
  }
  const auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  const auto old = ParseJson(*text);
  if (!old.ok()) return old.status();
  if (const std::string difference = FirstDifference(*old, manifest); !difference.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the dump ", folder, " was made otherwise, at ", difference,
                     "; delete it or choose another folder with --out"));
  }
  if (absl::Status read = writer->ReadDone(); !read.ok()) return read;
  return writer;
}

absl::Status DumpWriter::ReadDone() {
  auto done = ReadDoneFile(folder_);
  if (!done.ok()) return done.status();
  if (!done->empty()) {
    const auto& [last, hash] = done->back();
    const auto now = Sha256OfFile(ShardPath(folder_, last));
    if (!now.ok() || *now != hash) done->pop_back();
  }
  for (const auto& [shard, hash] : *done) {
    done_[shard] = hash;
    order_.push_back(shard);
  }
  resumed_ = static_cast<int>(order_.size());
  return WriteDone();
}

absl::Status DumpWriter::WriteDone() const {
  std::string text;
  for (const Shard& shard : order_) {
    absl::StrAppend(&text,
                    Json({{"track", shard.track},
                          {"first", shard.first},
                          {"last", shard.last},
                          {"sha256", done_.at(shard)}})
                        .dump(),
                    "\n");
  }
  return WriteFile(folder_ + "/done.jsonl", text);
}

absl::Status DumpWriter::Write(const Shard& shard, const std::vector<Tensor>& tensors) {
  const std::string bytes = EncodeSafetensors(tensors);
  const std::string path = ShardPath(folder_, shard), temporary = path + ".part";
  if (absl::Status s = WriteFile(temporary, bytes, WriteMode::kOverwrite); !s.ok()) return s;
  if (absl::Status s = Sync(temporary); !s.ok()) return s;
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot rename ", temporary, ": ", error.message()));
  done_[shard] = Sha256(bytes);
  order_.push_back(shard);
  return WriteDone();
}

absl::StatusOr<std::unique_ptr<DumpReader>> DumpReader::Open(const std::string& folder) {
  std::unique_ptr<DumpReader> reader(new DumpReader(folder));
  const auto text = ReadFile(folder + "/manifest.json");
  if (!text.ok())
    return absl::NotFoundError(absl::StrCat(folder, " is no dump: it has no manifest.json"));
  auto manifest = ParseJson(*text);
  if (!manifest.ok()) return manifest.status();
  if (!manifest->is_object() || manifest->value("format", Json()) != Json(kDumpFormat)) {
    return absl::InvalidArgumentError(absl::StrCat(folder, "/manifest.json: \"format\" is not \"",
                                                   std::string(kDumpFormat), "\""));
  }
  reader->manifest_ = *std::move(manifest);
  auto done = ReadDoneFile(folder);
  if (!done.ok()) return done.status();
  for (auto& [shard, hash] : *done) reader->shards_[shard] = hash;
  return reader;
}

std::vector<std::string> DumpReader::Tracks() const {
  std::vector<std::string> tracks;
  for (const auto& [shard, hash] : shards_) {  // ordered by track
    if (tracks.empty() || tracks.back() != shard.track) tracks.push_back(shard.track);
  }
  return tracks;
}

absl::Status DumpReader::CheckShards() const {
  const std::string list = folder_ + "/done.jsonl";
  std::string track;
  int next = 0;
  for (const auto& [shard, hash] : shards_) {  // ordered by track, then by the first item
    if (shard.track != track) next = 0;
    track = shard.track;
    if (shard.last <= shard.first || shard.first < next) {
      return absl::DataLossError(absl::StrCat(list, ": items ", shard.first, " to ", shard.last,
                                              " of track ", track, " overlap others or are none"));
    }
    if (shard.first > next) {
      return absl::DataLossError(absl::StrCat(list, ": no line has items ", next, " to ",
                                              shard.first - 1, " of track ", track,
                                              ", but one has those from ", shard.first, " on"));
    }
    if (const std::string path = ShardPath(folder_, shard); !fs::exists(path)) {
      return absl::DataLossError(
          absl::StrCat(path, " is not there, and ", list, " lists it with SHA-256 ", hash));
    }
    std::error_code error;
    const auto bytes = static_cast<int64_t>(fs::file_size(ShardPath(folder_, shard), error));
    if (error || (shard.last - shard.first) > bytes / kLeastItemBytes) {
      return absl::DataLossError(
          absl::StrCat(list, ": ", shard.last - shard.first, " items of track ", track, " from ",
                       shard.first, " on are more than a file of ", bytes, " bytes can hold"));
    }
    next = shard.last;
  }
  return absl::OkStatus();
}

int DumpReader::Items(std::string_view track) const {
  int items = 0;
  for (const auto& [shard, hash] : shards_) {
    if (shard.track == track) items = std::max(items, shard.last);
  }
  return items;
}

absl::StatusOr<const DumpReader::Loaded*> DumpReader::LoadShardOf(std::string_view track,
                                                                  int item) {
  const auto cached = loaded_.find(track);
  if (cached != loaded_.end() && item >= cached->second.shard.first &&
      item < cached->second.shard.last) {
    return &cached->second;
  }
  const auto found = std::find_if(shards_.begin(), shards_.end(), [&](const auto& entry) {
    return entry.first.track == track && item >= entry.first.first && item < entry.first.last;
  });
  if (found == shards_.end()) {
    return absl::NotFoundError(
        absl::StrCat(folder_, ": no shard holds item ", item, " of track ", std::string(track)));
  }
  const std::string path = ShardPath(folder_, found->first);
  if (cached != loaded_.end()) loaded_.erase(cached);  // one shard of a track in memory
  const auto bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  if (const std::string hash = Sha256(*bytes); hash != found->second) {
    return absl::DataLossError(absl::StrCat(path, ", ", bytes->size(), " bytes, has SHA-256 ", hash,
                                            " and done.jsonl lists ", found->second,
                                            ": it is cut or was changed"));
  }
  auto tensors = DecodeSafetensors(*bytes);
  if (!tensors.ok()) return tensors.status();
  Loaded& loaded = loaded_[std::string(track)];
  loaded = {.shard = found->first, .tensors = {}};
  for (Tensor& tensor : *tensors) {
    std::string name = tensor.name;
    loaded.tensors.emplace(std::move(name), std::move(tensor));
  }
  return &loaded;
}

absl::StatusOr<const Tensor*> DumpReader::Read(std::string_view track, int item,
                                               std::string_view what) {
  const auto loaded = LoadShardOf(track, item);
  if (!loaded.ok()) return loaded.status();
  const std::string name = TensorName(track, item, what);
  const auto found = (*loaded)->tensors.find(name);
  if (found == (*loaded)->tensors.end()) {
    return absl::NotFoundError(absl::StrCat(folder_, ": no tensor ", name));
  }
  return &found->second;
}

absl::StatusOr<std::vector<std::string>> DumpReader::Names(std::string_view track, int item) {
  const auto loaded = LoadShardOf(track, item);
  if (!loaded.ok()) return loaded.status();
  const std::string prefix = TensorName(track, item, "");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : (*loaded)->tensors) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

}  // namespace crosscheck::quality
