//! Programs that Debian installs outside the `PATH` of users.

use std::path::PathBuf;

pub(crate) fn find_server_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/bin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
