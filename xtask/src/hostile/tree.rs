//! Entries: names, links, attributes, and trees that no file system has.

use errbar_format::record::{Attributes, Body, Entry, Segment};

use super::Case;
use crate::builder::{Archive, Builder, Leaf, encode};
use crate::content::{attributes, directory, entry, file, hard_link, inline, symlink};

/// A folder outside of every target, which the containment test watches.
const CANARY: &str = "/tmp/errbar-hostile-canary";

pub fn cases() -> Vec<Case> {
    [paths(), symbolic_links(), hard_links(), names(), sizes(), attribute_cases(), planted()].into_iter().flatten().collect()
}

/// An archive of entries in the order given.
fn archive(name: &str, entries: Vec<Entry>) -> Archive {
    let mut b = Builder::new(name);
    for entry in entries {
        b.entry(entry);
    }
    b.finish()
}

fn refused(name: &str, entries: Vec<Entry>) -> Case {
    Case::refused(name, archive(name, entries))
}

fn contained(name: &str, entries: Vec<Entry>) -> Case {
    Case::contained(name, archive(name, entries))
}

/// Legal data: all of it must be restored.
fn restored(name: &str, entries: Vec<Entry>) -> Case {
    contained(name, entries).with("exit 0")
}

fn pwned(path: impl AsRef<[u8]>) -> Entry {
    inline(path, b"pwned")
}

fn paths() -> Vec<Case> {
    let one = |name: &str, path: &str| refused(name, vec![pwned(path)]);
    vec![
        one("abs-path", &format!("{CANARY}/pwned")),
        one("abs-path-many-slashes", &format!("//{CANARY}/pwned")),
        one("dotdot", "../victim"),
        one("dotdot-inside", "a/../../victim"),
        one("dotdot-harmless", "a/../b"),
        one("dot-components-1", "./a"),
        one("dot-components-2", "a/./b"),
        one("dot-components-3", "a//b"),
        one("empty-name-1", ""),
        one("empty-name-2", "///"),
        one("nul-in-name", "a\0b"),
        refused("duplicate-path", vec![pwned("x"), inline("x", b"other")]),
        refused("file-and-dir", vec![pwned("a"), pwned("a/b")]),
        refused("file-under-symlink", vec![symlink("a", "../outside"), pwned("a/b")]),
        restored("missing-parent", vec![pwned("a/b/c")]),
    ]
}

fn symbolic_links() -> Vec<Case> {
    // What a writer cannot order: the file before the link above it.
    let late = |name: &str, pages: [Entry; 2]| {
        let mut b = Builder::new(name);
        for entry in pages {
            b.entry(entry);
            b.flush();
        }
        Case::refused(name, b.finish())
    };
    let reversed_index = {
        let mut b = Builder::new("symlink-late-3");
        b.entry(symlink("d", "../outside"));
        b.flush();
        b.entry(pwned("d/x"));
        b.flush();
        b.pages.reverse();
        Case::refused("symlink-late-3", b.finish())
    };
    let wide_open = Entry { attributes: Some(Attributes { mode: 0o777, mtime_s: 1, ..attributes() }), ..symlink("d", "../outside") };
    vec![
        refused("symlink-then-file", vec![symlink("d", "../outside"), pwned("d/pwned")]),
        refused("symlink-abs-then-file", vec![symlink("d", CANARY), pwned("d/pwned")]),
        refused("symlink-chain", vec![symlink("a", "b"), pwned("a/pwned"), symlink("b", "c"), symlink("c", "../outside")]),
        refused("symlink-dot-trick", vec![symlink("d", "."), symlink("e", "d/.."), pwned("e/pwned")]),
        refused("symlink-two-hop", vec![symlink("a/b/c/up", "../.."), symlink("a/b/e", "c/up/../.."), pwned("a/b/e/pwned")]),
        refused("symlink-replace-dir", vec![directory("d"), symlink("d", "../outside"), pwned("d/pwned")]),
        refused("symlink-replace-file", vec![symlink("f", "../victim"), pwned("f")]),
        late("symlink-late-1", [pwned("d/x"), symlink("d", "../outside")]),
        late("symlink-late-2", [symlink("d", "../outside"), pwned("d/x")]),
        reversed_index,
        contained("symlink-dir-metadata", vec![wide_open]),
        refused("symlink-loop", vec![symlink("a", "b"), pwned("a/x"), symlink("b", "a")]),
        restored("symlink-self", vec![symlink("s", "s")]),
        restored("symlink-outside-only", vec![symlink("s", "/etc/passwd")]),
        refused("symlink-target-empty-1", vec![symlink("s", "")]),
        refused("symlink-target-empty-2", vec![symlink("s", "a\0b")]),
        refused("symlink-target-empty-3", vec![symlink("s", "a".repeat(70_000))]),
        // A folder with contents of its own cannot be said: the record has no room for them.
        refused("symlink-trailing-slash", vec![pwned("d/")]),
    ]
}

fn hard_links() -> Vec<Case> {
    let chain: Vec<Entry> = (0..10_000)
        .map(|i| match i {
            0 => inline("h00000", b"end of the chain"),
            _ => hard_link(&format!("h{i:05}"), &format!("h{:05}", i - 1)),
        })
        .collect();
    vec![
        refused("hardlink-outside-1", vec![hard_link("h", "../victim"), pwned("h")]),
        refused("hardlink-outside-2", vec![hard_link("h", "../victim")]),
        refused("hardlink-abs", vec![hard_link("h", &format!("{CANARY}/x"))]),
        refused("hardlink-via-symlink-1", vec![hard_link("h", "s"), pwned("h"), symlink("s", "../victim")]),
        refused("hardlink-via-symlink-2", vec![hard_link("h", "s"), symlink("s", "../victim")]),
        restored("hardlink-forward", vec![hard_link("a", "b"), inline("b", b"content")]),
        contained("hardlink-missing", vec![hard_link("a", "b"), inline("c", b"content")]),
        refused("hardlink-cycle-1", vec![hard_link("h1", "h2"), hard_link("h2", "h1")]),
        refused("hardlink-cycle-2", vec![hard_link("h", "h")]),
        refused("hardlink-to-dir", vec![directory("d"), hard_link("h", "d")]),
        contained("hardlink-chain-10000", chain),
    ]
}

fn names() -> Vec<Case> {
    let all = |name: &str, names: &[&[u8]]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        restored(name, names.iter().map(|name| inline(name, b"content")).collect())
    };
    let long = |len| contained(&format!("name-255-{}", len - 254), vec![inline("n".repeat(len), b"content")]);
    let deep = |i: usize, len: usize| {
        let mut path = format!("{}/", "d".repeat(199)).repeat(len / 200 + 1);
        path.truncate(len);
        if path.ends_with('/') {
            path.replace_range(len - 1.., "d");
        }
        contained(&format!("path-4096-{i}"), vec![inline(path, b"content")])
    };
    vec![
        all("backslash-dotdot", &[b"..\\victim"]),
        all("drive-letter", &[b"C:\\x", b"C:x", b"\\\\server\\share\\x", b"\\\\?\\C:\\x"]),
        all("case-collision-1", &[b"README", b"readme"]),
        restored("case-collision-2", vec![directory("A"), inline("A/x", b"1"), inline("a", b"2")]),
        all("unicode-collision", &["\u{e9}", "e\u{301}", "\u{fb01}", "fi", "K", "\u{212a}"].map(str::as_bytes)),
        restored("unicode-ignorable", vec![inline(".git/config", b"1"), inline(".g\u{200c}it/config", b"2")]),
        all("bidi-and-escape", &["a\u{202e}txt.exe", "b\u{1b}[2J", "c\nd", "e\t", "f\u{7}"].map(str::as_bytes)),
        all("text-of-terminal", &[b"\x1b]0;title\x07", b"\"}], \"ok\": [{", b"\r\x1b[Kpassed", b"a\\u0041"]),
        restored("control-names", (1..0x20u8).chain([0x7F]).map(|c| inline([c], b"content")).collect()),
        all("non-utf8-name", &[b"\xff\xfe\x80", b"a\xc0\xaf"]),
        all("overlong-slash", &[b"..\xc0\xafvictim"]),
        all("surrogates", &[b"\xed\xa0\x80"]),
        all("device-names", &[b"CON", b"NUL", b"aux.txt", b"COM1", b"LPT9.dat", b"dot.", b"space ", b"a:b"]),
        all("reserved-temp-name", &[b".errbar-part", b".errbar-0.tmp", b".errbar.tmp", b".#errbar"]),
        long(255),
        long(256),
        deep(1, 4095),
        deep(2, 4096),
        deep(3, 65_535),
        deep(4, 100_000),
    ]
}

fn sizes() -> Vec<Case> {
    let deep = |name: &str, depth: usize| contained(name, vec![inline("d/".repeat(depth) + "x", b"content")]).with("variants clean");
    let folders = (1..=1000).map(|n| directory(&vec!["d"; n].join("/"))).collect();
    // As many entries of one name as fill a page, in two pages.
    let same = vec![encode(&directory("x")); 500_000];
    let mut million = Builder::new("entries-million");
    million.page(Leaf::new(errbar_format::record::PageContent::Entries, b"x".to_vec(), &same));
    million.page(Leaf::new(errbar_format::record::PageContent::Entries, b"x".to_vec(), &same));
    let sparse = |name: &str, segments, content: &[u8]| contained(name, vec![file("sparse", segments, vec![], content)]);
    let hole = |length| Segment::Hole { length };
    let mut too_many = file("f", vec![hole(1); 1_000_000], vec![], b"");
    crate::content::body_mut(&mut too_many).size = 1000;
    let mut past_end = file("f", vec![hole(4096), hole(1 << 40)], vec![], b"");
    crate::content::body_mut(&mut past_end).size = 4096;
    vec![
        deep("deep-10000-1", 10_000),
        deep("deep-10000-2", 32_767),
        contained("deep-10000-3", folders).with("variants clean"),
        Case::refused("entries-million", million.finish()),
        sparse("sparse-bomb-1", vec![hole(1 << 62)], b""),
        sparse("sparse-bomb-2", vec![hole((8 << 40) - 1), Segment::Inline(b"x".to_vec())], b"x"),
        refused("sparse-map-huge-1", vec![too_many]),
        refused("sparse-map-huge-2", vec![past_end]),
    ]
}

fn attribute_cases() -> Vec<Case> {
    let with = |entry: Entry, edit: &dyn Fn(&mut Attributes)| {
        let mut attributes = entry.attributes.clone().unwrap_or_default();
        edit(&mut attributes);
        Entry { attributes: Some(attributes), ..entry }
    };
    let mode = |path: &str, mode| with(inline(path, b"content"), &move |attributes| attributes.mode = mode);
    let time = |path: &str, seconds| with(inline(path, b"content"), &move |attributes| attributes.mtime_s = seconds);
    let xattrs = |path: &str, name: &[u8], value: &[u8]| {
        with(inline(path, b"content"), &|attributes| attributes.xattrs = vec![(name.to_vec(), value.to_vec())])
    };
    let nanoseconds = |ns| with(inline("f", b"content"), &move |attributes| attributes.mtime_ns = ns);
    let ids = |path: &str, id| with(inline(path, b"content"), &move |attributes| (attributes.uid, attributes.gid) = (id, id));
    let closed = with(entry("d", Body::Directory), &|attributes| attributes.mode = 0);
    let sticky = with(entry("t", Body::Directory), &|attributes| attributes.mode = 0o7777);
    let names = with(inline("names", b"content"), &|attributes| {
        (attributes.user, attributes.group) = ("u".repeat(65_536), "root".into());
    });
    // The only word for a device would be file-type bits in `mode`, which an entry must not have.
    let device = |name: &str, kind: u32| contained(name, vec![mode("device", kind | 0o666)]);
    vec![
        contained("setuid", vec![mode("g", 0o2755), mode("s", 0o4755), sticky]),
        contained("world-writable", vec![closed, inline("d/f", b"content"), mode("none", 0), mode("open", 0o777)]),
        device("devices-1", 0o020_000),
        device("devices-2", 0o060_000),
        device("devices-3", 0o010_000),
        device("devices-4", 0o140_000),
        contained(
            "xattr-security",
            vec![
                xattrs("acl", b"system.posix_acl_access", b"\x02\0\0\0garbage"),
                xattrs("capability", b"security.capability", b"\x01\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0"),
                xattrs("huge", b"user.x", &[b'x'; 70_000]),
                xattrs("selinux", b"security.selinux", b"system_u:object_r:shadow_t:s0"),
                xattrs("trusted", b"trusted.overlay.opaque", b"y"),
            ],
        ),
        contained("uid-huge", vec![ids("a", u32::MAX), ids("b", 1 << 31), ids("c", u32::MAX - 1), names]),
        contained("time-range-1", vec![time("least", i64::MIN), time("most", i64::MAX), time("year-1", -62_135_596_800)]),
        contained("time-range-2", vec![nanoseconds(1_000_000_000)]),
        contained("time-range-3", vec![nanoseconds(u32::MAX)]),
    ]
}

/// Plain archives for targets in which something stands already.
fn planted() -> Vec<Case> {
    let f = || vec![inline("f", b"from the archive")];
    vec![
        contained("preplanted-link-file", f()).with("variants clean,links"),
        contained("preplanted-link-dir", vec![directory("d"), inline("d/f", b"from the archive")]).with("variants clean,links"),
        contained("preplanted-dangling", f()).with("variants clean,dangling"),
        contained("preplanted-hard", f()).with("variants clean,hard"),
        contained("existing-file", f()).with("variants clean,files"),
    ]
}
