//! Lock on the data folder: held by one server, or shared by the nodes of one community.

use super::{
    data_folder::{self, Action},
    error::{Error, Result},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Whether others may hold the lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Store and live connections belong to this process.
    Exclusive,
    Nodes,
}

/// A held lock, which the system releases however the process ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Acquires the lock without waiting. Creates a missing folder.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] with folder and process while it is held, or when the folder cannot be used.
    pub fn acquire(data: &Path, sharing: Sharing) -> Result<Self> {
        data_folder::prepare(data)?;
        let path = path(data);
        let in_words = |why: &std::io::Error| data_folder::describe(&path, Action::Write, why);
        // Not truncated: it may hold the holder's process id.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|why| in_words(&why))?;
        let locked = match sharing {
            Sharing::Exclusive => file.try_lock(),
            Sharing::Nodes => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => {
                file.set_len(0)
                    .and_then(|()| write!(file, "{}", std::process::id()))
                    .map_err(|why| in_words(&why))?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(in_use(data, &mut file)),
            Err(TryLockError::Error(error)) => Err(in_words(&error)),
        }
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("lock")
}

fn in_use(data: &Path, file: &mut File) -> Error {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    let by = match read {
        Ok(_) if pid.trim().parse::<u32>().is_ok() => format!(" (process {})", pid.trim()),
        _ => String::new(),
    };
    Error::InvalidSetting(format!(
        "the data folder {} is in use by another Rialto{by}. Stop it, or choose another folder with --data",
        std::path::absolute(data)
            .unwrap_or_else(|_| data.to_owned())
            .display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_by_path_and_process_until_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let held = DataLock::acquire(&data, Sharing::Exclusive).unwrap();
        for sharing in [Sharing::Exclusive, Sharing::Nodes] {
            let refused = DataLock::acquire(&data, sharing).unwrap_err().to_string();
            assert!(refused.contains(data.to_str().unwrap()), "{refused}");
            let process = format!("process {}", std::process::id());
            assert!(refused.contains(&process), "{refused}");
        }
        drop(held);
        DataLock::acquire(&data, Sharing::Exclusive).unwrap();
    }

    #[test]
    fn nodes_share_a_folder_with_one_another_alone() {
        let folder = tempfile::tempdir().unwrap();
        let _one = DataLock::acquire(folder.path(), Sharing::Nodes).unwrap();
        let _other = DataLock::acquire(folder.path(), Sharing::Nodes).unwrap();
        DataLock::acquire(folder.path(), Sharing::Exclusive).unwrap_err();
    }
}
