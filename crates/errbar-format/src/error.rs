use std::fmt;
use std::sync::Arc;

/// The result of everything that can fail in errbar.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of failure it was. Programs decide by it; people read [`Error`]'s text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operating system refused to read or write.
    Io,
    /// The input ends before the structure does.
    Truncated,
    /// The bytes contradict their checksum, their hash or the specification.
    Corrupt,
    /// The bytes are sound, but this reader lacks a stage or a feature they need.
    Unsupported,
    /// A declared size exceeds what the specification or the caller allows.
    Limit,
    /// An archive asks for something a reader must not do, such as leaving the target folder.
    Refused,
    /// Two things that were compared differ.
    Differs,
    /// The caller's arguments do not make sense.
    Usage,
}

impl Kind {
    /// The kind as one lower-case word, stable for programs.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Io => "io",
            Kind::Truncated => "truncated",
            Kind::Corrupt => "corrupt",
            Kind::Unsupported => "unsupported",
            Kind::Limit => "limit",
            Kind::Refused => "refused",
            Kind::Differs => "differs",
            Kind::Usage => "usage",
        }
    }
}

/// Where something went wrong; what is not known stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The entry's path, escaped for display.
    pub path: Option<String>,
    /// The variable's name inside the entry.
    pub variable: Option<String>,
    /// The block's number.
    pub block: Option<u64>,
    /// Byte offset in the archive.
    pub offset: Option<u64>,
}

/// One failure: its kind, the rule it broke, what happened, where, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Error {
    /// What sort of failure.
    pub kind: Kind,
    /// The anchor in the specification, where a rule of it was broken.
    pub rule: Option<&'static str>,
    /// What is wrong, in one line without a full stop.
    pub what: String,
    /// Where it is wrong.
    pub place: Box<Place>,
    /// What the reader of the message can do.
    pub advice: Option<String>,
    /// The operating system's own error, if it caused this one.
    #[source]
    pub source: Option<Arc<std::io::Error>>,
}

impl Error {
    /// An error of `kind` saying `what`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, rule: None, what: what.into(), place: Box::default(), advice: None, source: None }
    }

    /// Bytes that break `rule`.
    pub fn corrupt(rule: &'static str, what: impl Into<String>) -> Self {
        Error { rule: Some(rule), ..Error::new(Kind::Corrupt, what) }
    }

    /// A size beyond what `rule` allows.
    pub fn limit(rule: &'static str, what: impl Into<String>) -> Self {
        Error { rule: Some(rule), ..Error::new(Kind::Limit, what) }
    }

    /// Something sound that this reader does not know.
    pub fn unsupported(rule: &'static str, what: impl Into<String>) -> Self {
        Error { rule: Some(rule), ..Error::new(Kind::Unsupported, what) }
    }

    /// Arguments that make no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Error::new(Kind::Usage, what)
    }

    /// A failed system call, with what was being done.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        Error { source: Some(Arc::new(source)), ..Error::new(Kind::Io, doing.to_string()) }
    }

    /// The same error, at `offset` unless a place is known already.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.place.offset.get_or_insert(offset);
        self
    }

    /// The same error, in block `number`.
    #[must_use]
    pub fn in_block(mut self, number: u64) -> Self {
        self.place.block.get_or_insert(number);
        self
    }

    /// The same error, in the entry `path`.
    #[must_use]
    pub fn in_entry(mut self, path: &[u8]) -> Self {
        self.place.path.get_or_insert_with(|| crate::path::display(path));
        self
    }

    /// The same error, in the variable `name`.
    #[must_use]
    pub fn in_variable(mut self, name: &str) -> Self {
        self.place.variable.get_or_insert_with(|| crate::path::display(name.as_bytes()));
        self
    }

    /// The same error, with advice.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert(advice.into());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(path) = &self.path {
            write!(f, "'{path}'")?;
            separator = ", ";
        }
        // Many files hold one array without a name.
        if let Some(variable) = self.variable.as_ref().filter(|name| !name.is_empty()) {
            write!(f, "{separator}variable '{variable}'")?;
            separator = ", ";
        }
        if let Some(block) = self.block {
            write!(f, "{separator}block {block}")?;
            separator = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{separator}byte {offset}")?;
        }
        Ok(())
    }
}

/// `kind: what: source — place [rule]`, one line.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.what)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if *self.place != Place::default() {
            write!(f, " — {}", self.place)?;
        }
        if let Some(rule) = self.rule {
            write!(f, " [{rule}]")?;
        }
        Ok(())
    }
}
