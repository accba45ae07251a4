//! The files around one that is packed, for headers that stand there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use errbar_dissect::{MAX_HEADER, ReadAt, Siblings};

use crate::source::{self, Found};

/// The files around an entry, as far as they are packed: below the root of the tree, no links followed.
pub(super) struct Around<'a>(pub(super) &'a Found);

impl Siblings for Around<'_> {
    fn read(&self, up: usize, name: &[u8]) -> Option<Vec<u8>> {
        let Around(found) = self;
        let depth = found.path.iter().filter(|&&byte| byte == b'/').count();
        let is_name = !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0);
        if found.is_root || up > depth || !is_name {
            return None;
        }
        let place = found.place.ancestors().nth(up + 1)?.join(OsStr::from_bytes(name));
        let (file, metadata) = source::open(&place).ok()?;
        if metadata.len() > MAX_HEADER {
            return None;
        }
        let mut content = vec![0; metadata.len() as usize];
        file.read_at(&mut content, 0).ok()?;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_is_packed() {
        let dir = tempfile::tempdir().expect("tmp");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).expect("folders");
        for name in ["outside", "root/header", "root/a/header", "root/a/b/data"] {
            std::fs::write(dir.path().join(name), name).expect("written");
        }
        std::os::unix::fs::symlink("header", root.join("a/link")).expect("a link");
        let long = std::fs::File::create(root.join("a/long")).expect("created");
        long.set_len(MAX_HEADER + 1).expect("a hole");
        let found = source::walk(&root).filter_map(Result::ok).find(|found| found.path == b"a/b/data").expect("found");
        let read = |up, name: &str| Around(&found).read(up, name.as_bytes());
        assert_eq!(read(1, "header").expect("a sibling"), b"root/a/header");
        assert_eq!(read(2, "header").expect("a sibling"), b"root/header");
        for (up, name) in [(0, "header"), (3, "outside"), (2, ".."), (1, "b/data"), (1, "link"), (1, "b"), (1, "long"), (1, "")] {
            assert_eq!(read(up, name), None, "{up} {name}");
        }
        let alone = source::walk(&root.join("a/b/data")).filter_map(Result::ok).next().expect("found");
        std::fs::write(root.join("a/b/header"), "beside the root").expect("written");
        assert_eq!(Around(&alone).read(0, b"header"), None);
    }
}
