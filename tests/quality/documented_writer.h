// The programs of docs/dump_format.md, run as a reader of that page would run them.
#ifndef CROSSCHECK_TESTS_QUALITY_DOCUMENTED_WRITER_H_
#define CROSSCHECK_TESTS_QUALITY_DOCUMENTED_WRITER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "reference/safetensors.h"

namespace crosscheck {

class DocumentedWriter {
 public:
  // `folder` holds the program.
  explicit DocumentedWriter(const std::string& folder) : program_(folder + "/write.py") {
    for (const std::string name : {"python3", "/usr/bin/python3"}) {
      if (std::system((name + " -c 'import numpy' 2>/dev/null").c_str()) != 0) continue;
      python_ = name;
      break;
    }
    std::filesystem::create_directories(folder);
    const std::string page = *ReadFile("docs/dump_format.md");
    const std::string begin = "```python\n", end = "```\n";
    for (size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
      at += begin.size();
      functions_ += page.substr(at, page.find(end, at) - at);
    }
  }

  bool ok() const { return !python_.empty(); }  // there is a Python with NumPy

  // Runs the functions of the page and then `program`, for which `folder` is `dump`, a fresh one.
  bool Run(const std::string& dump, const std::string& program) const {
    std::filesystem::create_directories(dump);
    const std::string text = functions_ + "\nfolder = '" + dump + "'\n" + program;
    return WriteFile(program_, text).ok() &&
           std::system((python_ + " -W error::SyntaxWarning " + program_).c_str()) == 0;
  }

 private:
  std::string program_, python_, functions_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_QUALITY_DOCUMENTED_WRITER_H_
