// Edges of an engine's library by function: what the program edge_coverage printed, with the names
// of the library's symbols.
#ifndef CROSSCHECK_FUZZ_EDGE_REPORT_H_
#define CROSSCHECK_FUZZ_EDGE_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck {

struct FunctionEdges {
  std::string name;
  int64_t edges = 0, reached = 0;
};

struct EdgeReport {
  std::string library;
  int64_t inputs = 0, edges = 0, reached = 0;
  std::vector<FunctionEdges> functions;  // by name
};

struct EdgeRequest {
  std::string program;  // fuzz/targets/edge_coverage_main.cc
  std::string subject, engine;
  std::vector<std::string> inputs;  // files and folders
};

// Errors: the program is not built, the engine has no counters, an input cannot be read.
absl::StatusOr<EdgeReport> ReadEdges(const EdgeRequest& request);

// Its parts: the text of the program with the start addresses of functions ("" stands for a name
// that is not known), and the text of `nm` as such addresses.
absl::StatusOr<EdgeReport> ParseEdges(std::string_view text,
                                      const std::map<uint64_t, std::string>& symbols);
std::map<uint64_t, std::string> ParseSymbols(std::string_view nm);

// Summed by the path before the function's own name ("lattice_inference::attention"), largest
// first.
std::vector<FunctionEdges> ByModule(const std::vector<FunctionEdges>& functions);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_EDGE_REPORT_H_
