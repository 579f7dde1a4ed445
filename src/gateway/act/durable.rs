//! Files that survive a power cut: written completely or not at all. An unreadable file is set aside, not deleted.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many damaged copies of one file are kept.
///
/// One shows what happened, the next two whether it happens again; more would only eat the flash they may be
/// complaining of.
pub const SET_ASIDE_KEPT: u32 = 3;

/// What a temporary file's name ends with. Such a file is worth nothing after a restart.
const TEMPORARY: &str = ".new";

/// The CRC-32 of Ethernet and zip (reflected polynomial 0xEDB88320), which every file of ours carries.
///
/// Four bits at a time: the table takes 64 bytes of flash where the usual ones take 16 KiB, and a snapshot is some ten
/// kilobytes.
pub fn crc32(content: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut at = 0;
        while at < 16 {
            let mut sum = at as u32;
            let mut bit = 0;
            while bit < 4 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
                bit += 1;
            }
            table[at] = sum;
            at += 1;
        }
        table
    };
    !content.iter().fold(!0, |sum, byte| {
        let sum = sum ^ u32::from(*byte);
        let sum = sum >> 4 ^ TABLE[(sum & 15) as usize];
        sum >> 4 ^ TABLE[(sum & 15) as usize]
    })
}

/// Takes the lock of a store's directory, which holds until the file is dropped or the process dies, however it dies. `None`: this
/// file system has no locks, or the directory cannot be written.
///
/// # Errors
/// Another process has it.
pub fn lock_directory(directory: &Path) -> Result<Option<File>, String> {
    let path = directory.join("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path);
    let Ok(file) = opened else { return Ok(None) };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(format!(
            "another linekeeper uses {}; stop it first, or set store.directory",
            directory.display()
        )),
        Err(_) => Ok(None),
    }
}

/// Makes `directory` (readable by us alone) and what is above it, where missing.
///
/// # Errors
/// In words.
pub fn make_directory(directory: &Path) -> Result<(), String> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| words("cannot create the directory", directory, &e))
}

/// Puts `content` in the place of `path`, so that after a power cut either the old or the new content is there whole.
///
/// Returns the open file, positioned at its end.
///
/// # Errors
/// In words. The old content is then still there.
pub fn replace(path: &Path, content: &[u8]) -> Result<File, String> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    let temporary = beside(path, TEMPORARY);
    let written = (|| {
        // Not followed if somebody put a link there: the name is ours alone.
        let _ = fs::remove_file(&temporary);
        let mut file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory(directory)?;
        Ok(file)
    })();
    written.map_err(|e: io::Error| {
        let _ = fs::remove_file(&temporary);
        words("cannot write", path, &e)
    })
}

/// Makes names created or changed in `directory` durable.
///
/// # Errors
/// As the kernel says it.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes the temporary file that a death within [`replace`] may have left beside `path`.
pub fn clear_temporary(path: &Path) {
    let _ = fs::remove_file(beside(path, TEMPORARY));
}

/// Reads at most `most` bytes of `path`. `None`: there is no such file. The flag says that the file is longer.
///
/// # Errors
/// As the kernel says it.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Option<(Vec<u8>, bool)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    let longer = content.len() as u64 > most;
    if longer {
        content.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    Ok(Some((content, longer)))
}

/// Renames a damaged file to `<name>.set-aside-N`; the oldest of more than [`SET_ASIDE_KEPT`] goes. Says where it is
/// now, in words that continue a sentence.
pub fn set_aside(path: &Path) -> String {
    let place = free_place(path);
    match fs::rename(path, &place) {
        Ok(()) => format!("it is kept as {}", place.display()),
        Err(e) => format!("and it could not be renamed to {}: {e}", place.display()),
    }
}

/// The same for a file that stays in use: writes `content` to `<name>.set-aside-N`.
pub fn copy_aside(path: &Path, content: &[u8]) -> String {
    let place = free_place(path);
    match fs::write(&place, content) {
        Ok(()) => format!("a copy of the damaged file is kept as {}", place.display()),
        Err(e) => {
            // Half a copy explains nothing and takes room that the messages may need.
            let _ = fs::remove_file(&place);
            format!("no copy of the damaged file could be kept ({e})")
        }
    }
}

/// The newest copy has the highest number; when all are taken, they move down by one and the oldest goes.
fn free_place(path: &Path) -> PathBuf {
    let place = |n: u32| beside(path, &format!(".set-aside-{n}"));
    for n in 1..=SET_ASIDE_KEPT {
        if !place(n).exists() {
            return place(n);
        }
    }
    for n in 1..SET_ASIDE_KEPT {
        let _ = fs::rename(place(n + 1), place(n));
    }
    place(SET_ASIDE_KEPT)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// An error of the file system as a person can use it: what, where, why, what to try.
pub fn words(what: &str, path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the file system is full: remove what is not needed there"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: check the kernel log for flash errors, or name another store.directory"
        }
        io::ErrorKind::PermissionDenied => "check who owns it, or run as the user who does",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a part of the path is a file: name another store.directory"
        }
        io::ErrorKind::NotFound => "check that the file system is mounted and the path is right",
        _ => "check the kernel log for flash errors",
    };
    format!("{what} {}: {error}; {advice}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_is_locked_until_its_holder_ends() {
        let room = tempfile::tempdir().unwrap();
        let held = lock_directory(room.path()).unwrap();
        assert!(held.is_some());
        let why = lock_directory(room.path()).unwrap_err();
        assert!(why.starts_with("another linekeeper uses "), "{why}");
        drop(held);
        assert!(lock_directory(room.path()).unwrap().is_some());
        assert!(lock_directory(Path::new("/nowhere")).unwrap().is_none(), "that is told elsewhere");
        // A link that somebody else laid is not followed.
        std::fs::remove_file(room.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(room.path().join("other"), room.path().join("lock")).unwrap();
        assert!(lock_directory(room.path()).unwrap().is_none());
        assert!(!room.path().join("other").exists());
    }

    #[test]
    fn the_sum_is_that_of_zip() {
        // The check value that catalogues of CRCs give for CRC-32/ISO-HDLC, and what zlib says of all bytes.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(&(0..=255).collect::<Vec<u8>>()), 0x2905_8C73);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn replacing_leaves_no_temporary_file_and_makes_the_directory_private() {
        use std::os::unix::fs::PermissionsExt;
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b/file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let directory = path.parent().unwrap();
        assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
    }

    #[test]
    fn at_most_three_damaged_copies_are_kept_and_the_newest_is_among_them() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("file");
        for n in 0..6 {
            fs::write(&path, format!("{n}")).unwrap();
            set_aside(&path);
        }
        let mut kept: Vec<_> = fs::read_dir(room.path())
            .unwrap()
            .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
            .collect();
        kept.sort();
        assert_eq!(kept, ["3", "4", "5"]);
    }

    #[test]
    fn errors_say_where_and_what_to_try() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        fs::write(&file, "").unwrap();
        let said = replace(&file.join("below"), b"x").unwrap_err();
        assert!(said.contains("file") && said.contains("store.directory"), "{said}");
    }
}
