//! How much memory this process may take.

use std::fs;

use crate::provider::LIST_MEMORY;

/// Where the kernel says what a container may take: cgroup v2, and v1.
const LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// How many bytes lists of users may take together, unless an administrator says otherwise: an eighth of what the container may
/// take. They may go to twice of it, and what is being read counts by itself, so that is half at the worst.
pub fn for_lists() -> usize {
    let limit = LIMITS.iter().find_map(|path| fs::read_to_string(path).ok());
    limit.map_or(LIST_MEMORY, |limit| of_limit(&limit))
}

fn of_limit(limit: &str) -> usize {
    // Without a limit it says "max", or a number that no machine has.
    const NO_LIMIT: usize = 1 << 48;
    let limit = limit.trim().parse().ok().filter(|limit| *limit < NO_LIMIT);
    limit.map_or(LIST_MEMORY, |limit: usize| (limit / 8).clamp(4 << 20, 1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_eighth_of_the_limit_where_there_is_one() {
        assert_eq!(of_limit("268435456\n"), 32 << 20);
        assert_eq!(of_limit("1073741824\n"), 128 << 20);
        assert_eq!(of_limit("1\n"), 4 << 20);
        for none in ["max\n", "9223372036854771712\n", "", "-1"] {
            assert_eq!(of_limit(none), LIST_MEMORY, "{none:?}");
        }
    }
}
