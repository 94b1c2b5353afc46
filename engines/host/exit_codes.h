// Exit codes of crosscheck-host, for the client that started it.
#ifndef CROSSCHECK_ENGINES_HOST_EXIT_CODES_H_
#define CROSSCHECK_ENGINES_HOST_EXIT_CODES_H_

namespace crosscheck {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitCannotOpen = 103;  // the engine could not be opened; stderr says why

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_HOST_EXIT_CODES_H_
