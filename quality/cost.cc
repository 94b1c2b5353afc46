#include "quality/cost.h"

#include <fstream>

namespace crosscheck::quality {
namespace {

// "VmHWM:   123456 kB" in bytes; 0: there is no such line.
int64_t StatusField(const std::string& file, const std::string& field) {
  std::ifstream status(file);
  for (std::string name; status >> name;) {
    int64_t kibibytes = 0;
    if (name == field && status >> kibibytes) return kibibytes << 10;
    status.ignore(1 << 12, '\n');
  }
  return 0;
}

}  // namespace

TimeShare& Cost::Of(const std::string& side, const std::string& track) {
  for (TimeShare& share : times) {
    if (share.side == side && share.track == track) return share;
  }
  times.push_back({.side = side, .track = track});
  return times.back();
}

void Cost::AddMemory(pid_t process, const std::string& name, const std::string& phase) {
  const std::string folder = "/proc/" + (process == 0 ? "self" : std::to_string(process));
  const MemoryShare share{.process = name,
                          .phase = phase,
                          .resident = StatusField(folder + "/status", "VmRSS:"),
                          .peak = StatusField(folder + "/status", "VmHWM:")};
  std::ofstream(folder + "/clear_refs") << "5\n";  // the peak starts anew
  if (share.peak > 0) memory.push_back(share);
}

}  // namespace crosscheck::quality
