//! How many connections the operating system's limit of open files allows.

use crate::server::turn::TurnConfig;

/// Of the store, the files that people send and receive, the log and the listeners.
const RESERVED_FILES: u64 = 256;
/// More connections than this fit into no memory.
const MAX_CONNECTIONS: u64 = 1_000_000;
/// Where the limit cannot be read.
#[cfg(not(target_os = "linux"))]
const ASSUMED_FILES: u64 = 1_024;

/// Raises the soft limit of open files to the hard one, and returns it (getrlimit(2)).
#[cfg(target_os = "linux")]
pub(super) fn raise_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(why) => {
            tracing::warn!(%why, "the limit of open files could not be raised");
            limit.current
        }
    };
    allowed.unwrap_or(u64::MAX)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn raise_limit() -> u64 {
    ASSUMED_FILES
}

/// HTTP connections at a time that leave enough files for everything else, TURN relays included.
pub(super) fn max_connections(open_files: u64, turn: &TurnConfig) -> u32 {
    // A relay and its TCP connection.
    let relays = (2 * u64::from(turn.turn_relays)).min(open_files / 4);
    let left = open_files.saturating_sub(RESERVED_FILES + relays);
    // A small part even of a limit that is far too low.
    let connections = left.max(open_files / 4).clamp(1, MAX_CONNECTIONS);
    u32::try_from(connections).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        turn: TurnConfig,
    }

    #[test]
    fn connections_leave_files_for_the_store_and_for_relays() {
        let turn = Arguments::parse_from(["rialto"]).turn;
        assert_eq!(max_connections(524_288, &turn), 524_288 - 256 - 4_000);
        assert_eq!(max_connections(1_024, &turn), 1_024 - 256 - 256);
        assert_eq!(max_connections(256, &turn), 64);
        assert_eq!(max_connections(u64::MAX, &turn), 1_000_000);
    }
}
