//! Whether this user can use the data folder. Errors name path, user and owner, and say what to do.

use super::error::{Error, Result};
use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The SQLite store in the data folder.
pub const STORE_FILE: &str = "rialto.sqlite";
/// The store and SQLite's own files (manual: "Temporary Files Used By SQLite").
const SQLITE_FILES: [&str; 3] = [STORE_FILE, "rialto.sqlite-wal", "rialto.sqlite-shm"];

/// Permissions of the group and of all others (chmod(2)).
const OTHERS: u32 = 0o077;

/// Attempted use of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Read,
    Write,
}

impl Action {
    fn participle(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Read => "read",
            Self::Write => "written",
        }
    }
}

/// Creates a missing folder, checks that it and the SQLite files in it are writable, and closes them to other users.
///
/// # Errors
/// Only [`Error::InvalidSetting`].
pub fn prepare(data: &Path) -> Result<()> {
    fs::create_dir_all(data).map_err(|why| describe(data, Action::Create, &why))?;
    check_access(data, Action::Write)?;
    check_store_files(data, Action::Write)?;
    let files = SQLITE_FILES.map(|name| data.join(name));
    for path in std::iter::once(data).chain(files.iter().map(PathBuf::as_path)) {
        restrict(path);
    }
    Ok(())
}

/// Takes away what other users of this machine may do: messages and password hashes are in it.
fn restrict(path: &Path) {
    let Ok(found) = fs::metadata(path) else {
        return;
    };
    let mode = found.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    let shown = absolute(path);
    let shown = shown.display();
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::warn!(
            "{shown} was open to other users of this machine. Now only its owner can use it"
        ),
        Err(why) => {
            tracing::warn!(%why, "{shown} is open to other users of this machine. Close it with \"chmod go= {shown}\"");
        }
    }
}

/// Checks that an existing folder and the SQLite files in it are readable.
///
/// # Errors
/// Only [`Error::InvalidSetting`].
pub fn check_readable(data: &Path) -> Result<()> {
    let found = fs::metadata(data).map_err(|why| describe(data, Action::Read, &why))?;
    if !found.is_dir() {
        return Err(describe(
            data,
            Action::Read,
            &ErrorKind::NotADirectory.into(),
        ));
    }
    check_access(data, Action::Read)?;
    check_store_files(data, Action::Read)
}

fn check_store_files(data: &Path, action: Action) -> Result<()> {
    for file in SQLITE_FILES.map(|name| data.join(name)) {
        match fs::metadata(&file) {
            Ok(found) if found.is_dir() => {
                return Err(describe(&file, action, &ErrorKind::IsADirectory.into()));
            }
            Ok(_) => check_access(&file, action)?,
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => return Err(describe(&file, action, &why)),
        }
    }
    Ok(())
}

/// Opens no file: closing it would release SQLite's locks on it (manual: "How To Corrupt An SQLite Database File", section 2.2).
fn check_access(path: &Path, action: Action) -> Result<()> {
    access(path, action).map_err(|why| describe(path, action, &why))
}

#[cfg(target_os = "linux")]
fn access(path: &Path, action: Action) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let mut wanted = Access::READ_OK;
    if path.is_dir() {
        wanted |= Access::EXEC_OK;
    }
    if action != Action::Read {
        wanted |= Access::WRITE_OK;
    }
    Ok(accessat(CWD, path, wanted, AtFlags::EACCESS)?)
}

/// SQLite reports it.
#[cfg(not(target_os = "linux"))]
fn access(path: &Path, _: Action) -> io::Result<()> {
    fs::metadata(path).map(|_| ())
}

/// An error of a path, in words.
#[must_use]
pub fn describe(path: &Path, action: Action, why: &io::Error) -> Error {
    let place = absolute(path);
    let shown = place.display();
    let done = action.participle();
    let words = match why.kind() {
        ErrorKind::PermissionDenied => describe_permission(&place, action),
        ErrorKind::NotFound => format!(
            "{shown} does not exist. Create it, or name another path (of the data folder: --data, RIALTO_DATA)"
        ),
        ErrorKind::ReadOnlyFilesystem => format!(
            "{shown} cannot be {done} by {}: its file system is mounted read-only. Mount it writable, or name a path on another one \
             (of the data folder: --data, RIALTO_DATA)",
            current_user()
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => format!(
            "{shown} cannot be {done} by {}: {why}. Free some space on its file system (\"df -h\" shows how much there is), then try again",
            current_user()
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => format!(
            "{} is a file, where a folder is needed. Move it away, or name another folder (of the data: --data, RIALTO_DATA)",
            first_file(&place).display()
        ),
        ErrorKind::IsADirectory => {
            format!("{shown} is a folder, where a file is needed. Move it away")
        }
        _ => format!(
            "{shown} cannot be {done} by {}: {why}. Check the path and its disk",
            current_user()
        ),
    };
    Error::InvalidSetting(words)
}

fn describe_permission(path: &Path, action: Action) -> String {
    let (shown, user) = (path.display(), current_user());
    let done = action.participle();
    let Some((at, found)) = nearest_existing(path) else {
        return format!("{shown} cannot be {done} by {user}: permission denied");
    };
    let owner = user_text(found.uid());
    let mode = found.mode() & 0o7777;
    let at = if at == path {
        "it".to_owned()
    } else {
        at.display().to_string()
    };
    if owner == user {
        return format!(
            "{shown} cannot be {done} by {user}, although {at} belongs to that user: its mode is {mode:04o}. Permit it with \
             \"chmod u+rwX\", or name another path (of the data folder: --data, RIALTO_DATA)"
        );
    }
    format!(
        "{shown} cannot be {done} by {user}: {at} belongs to {owner}, with mode {mode:04o}. Run this command as that user, or let root \
         change the owner with \"chown -R\""
    )
}

/// The path or its deepest ancestor that this user can see.
fn nearest_existing(path: &Path) -> Option<(&Path, Metadata)> {
    path.ancestors()
        .find_map(|at| Some((at, fs::metadata(at).ok()?)))
}

fn first_file(path: &Path) -> PathBuf {
    let file = path
        .ancestors()
        .find(|at| fs::metadata(at).is_ok_and(|found| !found.is_dir()));
    file.unwrap_or(path).to_owned()
}

/// Makes a folder's names durable, where its file system can.
///
/// # Errors
/// When the folder cannot be opened or its disk fails.
pub fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems sync files only.
        Err(why) if matches!(why.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// For messages.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The effective user, such as `the user rialto (uid 10001)`.
#[must_use]
pub fn current_user() -> String {
    #[cfg(target_os = "linux")]
    return user_text(rustix::process::geteuid().as_raw());
    #[cfg(not(target_os = "linux"))]
    "this user".to_owned()
}

/// The owner of an existing path.
#[must_use]
pub fn owner(path: &Path) -> Option<String> {
    Some(user_text(fs::metadata(path).ok()?.uid()))
}

fn user_text(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match find_name(&passwd, uid) {
        Some(name) => format!("the user {name} (uid {uid})"),
        None => format!("the user with uid {uid}"),
    }
}

/// See passwd(5).
fn find_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_in_the_list_of_users() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nrialto:x:10001:10001::/nonexistent:/bin/false";
        assert_eq!(find_name(passwd, 10_001), Some("rialto"));
        assert_eq!(find_name(passwd, 0), Some("root"));
        assert_eq!(find_name(passwd, 1), None);
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data");
        fs::write(&file, "").unwrap();
        for data in [file.clone(), file.join("below")] {
            let refused = prepare(&data).unwrap_err().to_string();
            let expected = format!("{} is a file, where a folder is needed", file.display());
            assert!(refused.contains(&expected), "{refused}");
        }
    }

    #[test]
    fn a_folder_in_the_place_of_the_store_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(STORE_FILE)).unwrap();
        let refused = prepare(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is a folder, where a file"), "{refused}");
    }
}
