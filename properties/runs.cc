#include <utility>

#include "properties/property.h"

namespace crosscheck {

const Runs::Series* Runs::Locate(size_t i, size_t* place) const {
  *place = i;
  for (const Series& series : series_) {
    if (i < series.first) break;
    if (i < series.first + series.count) {
      *place = i - series.first;
      return &series;
    }
    *place -= series.count;
  }
  return nullptr;
}

void Runs::AppendSeries(size_t count, std::function<Run(size_t)> make) {
  series_.push_back({size(), count, std::move(make)});
}

size_t Runs::size() const {
  size_t size = single_.size();
  for (const Series& series : series_) size += series.count;
  return size;
}

const Run Runs::operator[](size_t i) const {  // NOLINT(*-const-return-type)
  size_t place = 0;
  const Series* series = Locate(i, &place);
  return series != nullptr ? series->make(place) : single_[place];
}

Run Runs::Take(size_t i) {
  size_t place = 0;
  const Series* series = Locate(i, &place);
  return series != nullptr ? series->make(place) : std::move(single_[place]);
}

Runs::operator std::vector<Run>() const {
  std::vector<Run> runs;
  runs.reserve(size());
  for (size_t i = 0; i < size(); ++i) runs.push_back((*this)[i]);
  return runs;
}

}  // namespace crosscheck
