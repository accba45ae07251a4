//! What the file system should say of restored entries.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use errbar_format::record::Attributes;
use errbar_format::{Error, path};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};

use crate::atomic::os;

/// Sets owners, modes, times and extended attributes.
pub(super) struct Restorer {
    privileged: bool,
    users: HashMap<String, Option<u32>>,
    groups: HashMap<String, Option<u32>>,
}

fn failed(what: &str, e: rustix::io::Errno) -> Error {
    Error::io(format!("restored, but its {what} cannot be set"), e.into())
}

fn times(attributes: &Attributes) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: omit, last_modification: Timespec { tv_sec: attributes.mtime_s, tv_nsec: attributes.mtime_ns.into() } }
}

/// Attributes that any user may set on files of their own without giving anybody a right.
fn is_harmless(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}

impl Restorer {
    pub(super) fn new(privileged: bool) -> Restorer {
        Restorer { privileged, users: HashMap::new(), groups: HashMap::new() }
    }

    /// The owner on this machine: by name, else by number.
    fn owner(&mut self, attributes: &Attributes) -> (Option<Uid>, Option<Gid>) {
        let user = |name: &String| nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        let group = |name: &String| nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
        let known_user = *self.users.entry(attributes.user.clone()).or_insert_with_key(user);
        let known_group = *self.groups.entry(attributes.group.clone()).or_insert_with_key(group);
        // The largest number means "leave it" to the system.
        let uid = Some(known_user.unwrap_or(attributes.uid)).filter(|&uid| uid != u32::MAX).map(Uid::from_raw);
        let gid = Some(known_group.unwrap_or(attributes.gid)).filter(|&gid| gid != u32::MAX).map(Gid::from_raw);
        (uid, gid)
    }

    fn mode(&self, attributes: &Attributes) -> Mode {
        Mode::from(attributes.mode & if self.privileged { 0o7777 } else { 0o777 })
    }

    /// A regular file that has no name yet, or a folder with everything in it. Gives what could
    /// not be set.
    pub(super) fn opened(&mut self, file: BorrowedFd<'_>, attributes: &Attributes) -> Vec<Error> {
        let mut failures = Vec::new();
        if self.privileged {
            let (uid, gid) = self.owner(attributes);
            failures.extend(rustix::fs::fchown(file, uid, gid).err().map(|e| failed("owner", e)));
        }
        for (name, value) in &attributes.xattrs {
            if self.privileged || is_harmless(name) {
                let set = rustix::fs::fsetxattr(file, &*os(name), value, XattrFlags::empty());
                failures.extend(set.err().map(|e| failed(&format!("attribute '{}'", path::display(name)), e)));
            }
        }
        // After the owner, whose change clears set-id bits; before the times.
        failures.extend(rustix::fs::fchmod(file, self.mode(attributes)).err().map(|e| failed("mode", e)));
        failures.extend(rustix::fs::futimens(file, &times(attributes)).err().map(|e| failed("modification time", e)));
        failures
    }

    /// A symbolic link, which has an owner and times of its own.
    pub(super) fn link(&mut self, above: BorrowedFd<'_>, name: &OsStr, attributes: &Attributes) -> Vec<Error> {
        let mut failures = Vec::new();
        if self.privileged {
            let (uid, gid) = self.owner(attributes);
            failures.extend(rustix::fs::chownat(above, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).err().map(|e| failed("owner", e)));
        }
        failures.extend(
            rustix::fs::utimensat(above, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW).err().map(|e| failed("modification time", e)),
        );
        failures
    }
}
